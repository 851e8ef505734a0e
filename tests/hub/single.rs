//! Repositories of single files.

use super::download::{hub, quiet_of};
use super::failures::{assert_says, failure};
use super::repository;
use croquis::ErrorKind;
use croquis::files::ModelFiles;
use croquis::hub::locate;
use std::path::Path;

const FILE: &str = "quantised/sd1-q4_0.gguf";

fn contents() -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/single");
    std::fs::read(folder.join("sd1-q4_0.gguf")).expect("a golden file")
}

#[test]
fn one_file_is_downloaded_and_nothing_else() {
    let (server, mut options) = hub("single");
    server.state().files.insert(FILE.into(), contents());
    let name = format!("org/tiny/{FILE}");
    let file = quiet_of(&name, &options).expect("a file");
    assert!(file.ends_with(FILE) && file.is_file());
    assert_eq!(std::fs::read(&file).expect("a file"), contents());
    ModelFiles::open(&file).expect("a model");
    let asked = server.state().log.clone();
    assert!(
        asked
            .iter()
            .all(|request| request.path.contains("api/models") || request.path.ends_with(FILE)),
        "{asked:?}"
    );
    // It is there now, also without a network and by its commit.
    options.offline = true;
    assert_eq!(quiet_of(&name, &options).expect("a file"), file);
    let commit = format!("{name}@{}", super::server::COMMIT);
    assert_eq!(locate(&repository(&commit), &options).expect("a file"), file);
    assert_eq!(server.state().log.len(), asked.len());
    // The folder that it is in is not the model's.
    assert_eq!(
        locate(&repository("org/tiny"), &options).map_err(|e| e.kind()),
        Err(ErrorKind::NotFound)
    );
}

#[test]
fn a_file_that_is_not_there() {
    let (server, options) = hub("no-such-file");
    server.state().files.insert("v1-5.safetensors".into(), vec![0; 10]);
    server.state().files.insert("v1-5-q8_0.gguf".into(), vec![0; 10]);
    let error = failure("org/tiny/v2.safetensors", &options);
    let words = [
        "model org/tiny/v2.safetensors: the repository lacks v2.safetensors",
        "single files v1-5-q8_0.gguf, v1-5.safetensors: name one as org/tiny/FILE",
    ];
    assert_says(&error, ErrorKind::NotFound, &words);
}
