//! Downloads that succeed, at once or after interruptions.

use super::server::{COMMIT, Server};
use super::{FILES, empty_cache, golden, repository};
use croquis::ErrorKind;
use croquis::diffusion::Model;
use croquis::files::ModelFiles;
use croquis::hub::{HubOptions, fetch};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

/// Starts a server and creates an empty cache for its models.
pub fn hub(name: &str) -> (Server, HubOptions) {
    let server = Server::start();
    let mut options = empty_cache(name);
    options.endpoint = server.endpoint.clone();
    options.offline = false;
    (server, options)
}

fn quiet(options: &HubOptions) -> croquis::Result<PathBuf> {
    quiet_of("org/tiny", options)
}

pub fn quiet_of(name: &str, options: &HubOptions) -> croquis::Result<PathBuf> {
    fetch(&repository(name), options, |_| ControlFlow::Continue(()))
}

/// All files below a folder; links count as their targets.
pub fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    found.push(path.strip_prefix(folder).expect("inside").display().to_string())
                }
            }
        }
    }
    found.sort();
    found
}

#[test]
fn exactly_the_files_that_are_read_are_downloaded() {
    let (server, mut options) = hub("download");
    let mut last = (0, 0);
    let folder = fetch(&repository("org/tiny"), &options, |transfer| {
        last = (transfer.bytes, transfer.total_bytes);
        ControlFlow::Continue(())
    })
    .expect("a model");
    assert!(folder.ends_with(format!("models--org--tiny/snapshots/{COMMIT}")));
    let mut expected = FILES.map(String::from);
    expected.sort();
    assert_eq!(files(&folder), expected);
    for file in FILES {
        assert_eq!(fs::read(folder.join(file)).expect("a file"), golden(file), "{file}");
        assert_eq!(server.contents_requests(file).len(), 1, "{file}");
    }
    let total: usize = FILES.iter().map(|file| golden(file).len()).sum();
    assert_eq!(last, (total as u64, total as u64));
    Model::open(&ModelFiles::folder(&folder).expect("a model")).expect("a model");

    // The second time nothing is asked for, with or without a network.
    let asked = server.state().log.len();
    assert_eq!(quiet(&options).expect("a model"), folder);
    assert_eq!(server.state().log.len(), asked);
    options.offline = true;
    assert_eq!(quiet(&options).expect("a model"), folder);
}

#[test]
#[cfg(unix)]
fn the_cache_is_laid_out_as_other_tools_expect() {
    let (_server, options) = hub("layout");
    let folder = quiet(&options).expect("a model");
    let repository = options.cache.join("models--org--tiny");
    assert_eq!(fs::read_to_string(repository.join("refs/main")).expect("a reference"), COMMIT);
    let link = fs::read_link(folder.join(UNET)).expect("a link");
    let hash = super::server::sha256(&golden(UNET));
    assert_eq!(link, Path::new("../../../blobs").join(&hash));
    assert!(options.cache.join(format!(".locks/models--org--tiny/{hash}.lock")).is_file());
    assert!(!files(&repository).iter().any(|file| file.ends_with(".incomplete")));
}

#[test]
fn variants_in_16_bits_are_preferred_where_they_are() {
    let (server, mut options) = hub("variants");
    let half = "unet/diffusion_pytorch_model.fp16.safetensors";
    server.state().files.insert(half.into(), golden(UNET));
    options.half = true;
    let folder = quiet(&options).expect("a model");
    assert!(folder.join(half).is_file() && !folder.join(UNET).exists());
    assert!(folder.join("vae/diffusion_pytorch_model.safetensors").is_file());
}

#[test]
fn a_connection_that_breaks_is_continued() {
    let (server, options) = hub("broken");
    let size = golden(UNET).len();
    // Popped from the end; the first two large files come whole.
    server.state().breaks = vec![usize::MAX, 700_000, 1_000_000, usize::MAX, usize::MAX];
    let folder = quiet(&options).expect("a model");
    assert_eq!(fs::read(folder.join(UNET)).expect("a file"), golden(UNET));
    let ranges: Vec<_> =
        server.contents_requests(UNET).iter().map(|request| request.range).collect();
    assert!(size > 1_700_000);
    assert_eq!(ranges, [None, Some(1_000_000), Some(1_700_000)]);
}

#[test]
fn a_download_that_was_stopped_goes_on_in_the_next_run() {
    let (server, options) = hub("stopped");
    let stop = fetch(&repository("org/tiny"), &options, |transfer| {
        match transfer.file == UNET && transfer.total_bytes - transfer.bytes < 1_500_000 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    assert_eq!(stop.expect_err("stopped").kind(), ErrorKind::Cancelled);
    let hash = super::server::sha256(&golden(UNET));
    let blobs = options.cache.join("models--org--tiny/blobs");
    let partial = fs::metadata(blobs.join(format!("{hash}.incomplete"))).expect("a part").len();
    assert!(partial > 0 && !blobs.join(&hash).exists());
    let folder = quiet(&options).expect("a model");
    assert_eq!(fs::read(folder.join(UNET)).expect("a file"), golden(UNET));
    assert_eq!(server.contents_requests(UNET).last().expect("a request").range, Some(partial));
}

#[test]
fn a_server_without_ranges_starts_again() {
    let (server, options) = hub("rangeless");
    server.state().ignores_ranges = true;
    server.state().breaks = vec![usize::MAX, 1_000_000, usize::MAX, usize::MAX];
    let folder = quiet(&options).expect("a model");
    assert_eq!(fs::read(folder.join(UNET)).expect("a file"), golden(UNET));
}

#[test]
fn two_at_once_download_each_file_once() {
    let (server, options) = hub("twice");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| quiet(&options).expect("a model"));
        }
    });
    for file in FILES {
        assert_eq!(server.contents_requests(file).len(), 1, "{file}");
    }
}

#[test]
#[cfg(feature = "cli")]
fn the_command_downloads_and_plans() {
    let (server, options) = hub("command");
    let run = |offline: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_croquis"));
        command.args(["plan", "--model", "org/tiny", "--limits", "webgpu"]);
        command
            .env("CROQUIS_CONFIG", "")
            .env("HF_ENDPOINT", &server.endpoint)
            .env("HF_HUB_CACHE", &options.cache);
        command.env("HF_HUB_OFFLINE", offline).env_remove("HF_TOKEN").output().expect("a run")
    };
    let refused = run("1");
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && message.contains("there is no folder org/tiny here, and"));
    assert!(message.contains("unset HF_HUB_OFFLINE"), "{message}");
    for offline in ["0", "1"] {
        let planned = run(offline);
        let error = String::from_utf8_lossy(&planned.stderr);
        assert!(planned.status.success(), "{error}");
        assert!(String::from_utf8_lossy(&planned.stdout).contains("== summary"));
    }
}
