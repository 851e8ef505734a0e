//! Weights in shards.

use super::cache::{cache_of, write};
#[cfg(feature = "hub")]
use super::download::{files, hub, quiet_of};
#[cfg(feature = "hub")]
use super::failures::{assert_says, failure};
use super::{FILES, golden, repository};
use croquis::ErrorKind;
use croquis::diffusion::Model;
use croquis::files::ModelFiles;
use croquis::hub::locate;
use safetensors::SafeTensors;
use serde_json::json;
use std::collections::BTreeMap;

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";
const INDEX: &str = "unet/diffusion_pytorch_model.safetensors.index.json";
#[cfg(feature = "hub")]
const HALF_INDEX: &str = "unet/diffusion_pytorch_model.safetensors.index.fp16.json";

/// The UNet in two shards with their index, and a variant in the file names.
fn sharded(index: &str, variant: &str) -> BTreeMap<String, Vec<u8>> {
    let whole = golden(UNET);
    let tensors = SafeTensors::deserialize(&whole).expect("tensors");
    let name =
        |shard: usize| format!("diffusion_pytorch_model-0000{shard}-of-00002{variant}.safetensors");
    let shard = |name: &str| 1 + usize::from(name.starts_with("up_blocks."));
    let mut files = BTreeMap::new();
    for number in [1, 2] {
        let part = tensors.iter().filter(|(tensor, _)| shard(tensor) == number);
        let bytes = safetensors::serialize(part, None).expect("a file");
        files.insert(format!("unet/{}", name(number)), bytes);
    }
    let map: BTreeMap<_, _> = tensors.names().into_iter().map(|n| (n, name(shard(n)))).collect();
    files.insert(index.into(), json!({ "weight_map": map }).to_string().into_bytes());
    files
}

#[test]
fn a_snapshot_of_shards_is_complete_with_all_of_them() {
    let others = FILES.into_iter().filter(|file| *file != UNET);
    let (options, snapshot) = cache_of("shards", others);
    let shards = sharded(INDEX, "");
    let last = "unet/diffusion_pytorch_model-00002-of-00002.safetensors";
    for (file, bytes) in shards.iter().filter(|(file, _)| *file != last) {
        write(&snapshot.join(file), bytes);
    }
    let error = locate(&repository("org/tiny"), &options).expect_err("one is missing");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(&format!(": {last}; get them with")), "{error}");
    write(&snapshot.join(last), &shards[last]);
    let folder = locate(&repository("org/tiny"), &options).expect("a model");
    Model::open(&ModelFiles::folder(folder).expect("a model")).expect("a model");
}

#[test]
#[cfg(feature = "hub")]
fn exactly_the_shards_of_the_index_are_downloaded() {
    for (name, half) in [("shards-full", false), ("shards-half", true)] {
        let (server, mut options) = hub(name);
        options.half = half;
        let (full, fp16) = (sharded(INDEX, ""), sharded(HALF_INDEX, ".fp16"));
        server.state().files.remove(UNET);
        server.state().files.extend(full.clone());
        server.state().files.extend(fp16.clone());
        let other = "unet/diffusion_pytorch_model-00001-of-00009.safetensors";
        server.state().files.insert(other.into(), b"of an older index".to_vec());
        let folder = quiet_of("org/tiny", &options).expect("a model");
        let wanted = if half { fp16 } else { full };
        let mut expected: Vec<String> = FILES.iter().map(|file| file.to_string()).collect();
        expected.retain(|file| file != UNET);
        expected.extend(wanted.keys().cloned());
        expected.sort();
        assert_eq!(files(&folder), expected, "{name}");
        Model::open(&ModelFiles::folder(&folder).expect("a model")).expect("a model");
        let asked = server.state().log.len();
        assert_eq!(quiet_of("org/tiny", &options).expect("a model"), folder);
        assert_eq!(server.state().log.len(), asked, "nothing is asked for twice");
    }
}

#[test]
#[cfg(feature = "hub")]
fn an_index_that_is_wrong() {
    let (server, options) = hub("shards-wrong");
    server.state().files.remove(UNET);
    let serve = |index: &str| {
        server.state().files.insert(INDEX.into(), index.as_bytes().to_vec());
        let _ = std::fs::remove_dir_all(&options.cache);
        failure("org/tiny", &options)
    };
    let error = serve(r#"{"weight_map": {"a": "../../../secret.safetensors"}}"#);
    let words = ["model org/tiny: ", INDEX, "expected the name of a shard, got \"../../../secret"];
    assert_says(&error, ErrorKind::Format, &words);
    assert_says(&serve("<html>"), ErrorKind::Format, &[INDEX, "expected an index of shards"]);
    let error = serve(r#"{"weight_map": {"a": "x-1-of-1.safetensors"}}"#);
    assert_says(&error, ErrorKind::NotFound, &["lacks unet/x-1-of-1.safetensors"]);
}
