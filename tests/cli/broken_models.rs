//! Copies of the embedded model's folder, each with one damaged file.

use super::{croquis, fresh, refuses, text};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";
const VAE: &str = "vae/diffusion_pytorch_model.safetensors";

/// Copies the model; unchanged files are hard links where the file system has them.
fn copy(name: &str) -> PathBuf {
    let to = fresh(name);
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/emoji-64");
    for folder in ["", "scheduler", "text_encoder", "tokenizer", "unet", "vae"] {
        fs::create_dir_all(to.join(folder)).expect("a new folder");
        for entry in fs::read_dir(from.join(folder)).expect("the model's folder") {
            let path = entry.expect("the model's folder").path();
            let new = to.join(folder).join(path.file_name().expect("a name"));
            if path.is_file() && fs::hard_link(&path, &new).is_err() {
                fs::copy(&path, &new).expect("a copy");
            }
        }
    }
    to
}

/// Replaces a file, without changing the linked original.
fn replace(model: &Path, file: &str, edit: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let path = model.join(file);
    let bytes = fs::read(&path).expect("a file of the model");
    fs::remove_file(&path).expect("the link goes");
    fs::write(&path, edit(bytes)).expect("the damaged file");
}

/// Edits the header of a safetensors file; the tensors' bytes stay.
fn edit_header(model: &Path, file: &str, edit: impl FnOnce(&mut Value)) {
    replace(model, file, |bytes| {
        let (length, rest) = bytes.split_first_chunk::<8>().expect("a length");
        let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
        let mut header: Value = serde_json::from_slice(header).expect("a header");
        edit(&mut header);
        let header = header.to_string().into_bytes();
        [&(header.len() as u64).to_le_bytes()[..], &header, data].concat()
    });
}

/// Replaces a text in a file.
fn edit_text(model: &Path, file: &str, old: &str, new: &str) {
    replace(model, file, |bytes| {
        let text = String::from_utf8(bytes).expect("a text file");
        assert!(text.contains(old), "{file} does not contain {old}");
        text.replace(old, new).into_bytes()
    });
}

#[test]
fn the_undamaged_folder_draws_what_the_embedded_model_draws() {
    let (model, ours, theirs) = (copy("whole"), fresh("ours.png"), fresh("theirs.png"));
    let draw = ["txt2img", "a red apple", "--seed", "3", "--steps", "1", "--output"];
    croquis(&[&draw[..], &[text(&ours)]].concat()).success();
    let folder = [text(&theirs), "--model", text(&model)];
    croquis(&[&draw[..], &folder[..]].concat()).success();
    let [ours, theirs] = [ours, theirs].map(|file| croquis::picture::Picture::open(file).unwrap());
    assert!(ours == theirs);
}

#[test]
fn folders_that_are_no_models() {
    let nowhere = fresh("nowhere");
    refuses(&["--model", text(&nowhere)], &[text(&nowhere), "no such folder", "expected"]);
    let file = fresh("a-file");
    fs::write(&file, "").expect("a file");
    refuses(&["--model", text(&file)], &[text(&file), "truncated: expected at least 8 bytes"]);
    let empty = fresh("empty");
    fs::create_dir(&empty).expect("a folder");
    refuses(&["--model", text(&empty)], &[text(&empty), "model_index.json is missing"]);
}

#[test]
fn missing_files() {
    let cases = [
        ("unet/config.json", "unet/config.json is missing"),
        (UNET, "unet has no weights; expected diffusion_pytorch_model.safetensors"),
        ("text_encoder/model.safetensors", "text_encoder has no weights; expected"),
        ("scheduler/scheduler_config.json", "scheduler/scheduler_config.json is missing"),
    ];
    for (file, words) in cases {
        let model = copy("without-a-file");
        fs::remove_file(model.join(file)).expect("a file of the model");
        refuses(&["--model", text(&model)], &[text(&model), words]);
    }
    let model = copy("without-a-vocabulary");
    for file in ["tokenizer.json", "vocab.json", "merges.txt"] {
        fs::remove_file(model.join("tokenizer").join(file)).expect("a file of the model");
    }
    refuses(&["--model", text(&model)], &[text(&model), "expected tokenizer.json"]);
}

#[test]
fn truncated_weights() {
    let model = copy("truncated");
    replace(&model, VAE, |mut bytes| {
        bytes.truncate(bytes.len() / 2);
        bytes
    });
    refuses(&["--model", text(&model)], &[VAE, "truncated: expected", "bytes", "got", "again"]);
    replace(&model, VAE, |_| b"version https://git-lfs.github.com/spec/v1\n".to_vec());
    refuses(&["--model", text(&model)], &[VAE, "git lfs pull"]);
}

#[test]
fn a_header_that_lies_about_offsets() {
    let model = copy("offsets");
    edit_header(&model, VAE, |header| {
        header["decoder.conv_in.bias"]["data_offsets"] = json!([1u64 << 40, 1u64 << 41]);
    });
    let words = [VAE, "decoder.conv_in.", "damaged header: expected its data to start at", "got"];
    refuses(&["--model", text(&model)], &words);
}

#[test]
fn weights_of_a_wrong_type() {
    let model = copy("dtype");
    edit_header(&model, UNET, |header| header["conv_in.weight"]["dtype"] = json!("I16"));
    let words = ["conv_in.weight", "expected f32, f16, bf16, ", "got i16"];
    refuses(&["--model", text(&model)], &words);
}

#[test]
fn weights_of_a_wrong_shape() {
    let model = copy("shape");
    edit_header(&model, UNET, |header| {
        let shape = header["conv_in.weight"]["shape"].as_array_mut().expect("a shape");
        shape.swap(0, 1);
    });
    let words = ["unet.conv_in: weight: expected shape [_, 8, _, _], got [8, 64, 3, 3]"];
    refuses(&["--model", text(&model)], &words);
    let model = copy("shape-of-a-bias");
    edit_header(&model, VAE, |header| {
        let bias = &mut header["decoder.conv_in.bias"];
        let length = bias["shape"][0].as_u64().expect("a length");
        bias["shape"] = json!([length / 2, 2]);
    });
    refuses(
        &["--model", text(&model)],
        &["vae.decoder.conv_in: bias: expected shape [96", "got [48, 2]"],
    );
}

#[test]
fn weights_that_are_missing_or_left_over() {
    let model = copy("renamed");
    edit_header(&model, UNET, |header| {
        let header = header.as_object_mut().expect("an object");
        let tensor = header.remove("conv_in.bias").expect("a tensor");
        header.insert("conv_in.offset".into(), tensor);
    });
    let words = ["unet: 1 weight is in the file, but not in the model", "conv_in.offset"];
    refuses(&["--model", text(&model)], &words);
}

#[test]
fn damaged_configurations() {
    let model = copy("bad-json");
    replace(&model, "unet/config.json", |mut bytes| {
        bytes.truncate(40);
        bytes
    });
    refuses(&["--model", text(&model)], &[text(&model), "unet/config.json", "line"]);
    let model = copy("bad-class");
    edit_text(&model, "unet/config.json", "MobileDiffusionUNet", "FluxTransformer2DModel");
    let words = ["unet/config.json: _class_name: expected", "got \"FluxTransformer2DModel\""];
    refuses(&["--model", text(&model)], &words);
    let model = copy("bad-scheduler");
    let file = "scheduler/scheduler_config.json";
    edit_text(&model, file, "DDIMScheduler", "MagicScheduler");
    let words = ["scheduler_config.json: _class_name: expected one of DDIM", "got MagicScheduler"];
    refuses(&["--model", text(&model)], &words);
    let file_out = fresh("another-sampler.png");
    let rest = ["--model", text(&model), "--scheduler", "ddim", "-o", text(&file_out)];
    croquis(&[&["txt2img", "a red apple", "--steps", "1"][..], &rest].concat()).success();
    let model = copy("another-autoencoder");
    edit_text(&model, "vae/config.json", "\"latent_channels\": 8", "\"latent_channels\": 4");
    let words = ["vae/config.json: latent_channels: expected the UNet's 8, got 4"];
    refuses(&["--model", text(&model)], &words);
    let model = copy("bad-betas");
    edit_text(&model, file, "0.012", "\"large\"");
    let words = ["scheduler_config.json: beta_end: expected a number", "got \"large\""];
    refuses(&["--model", text(&model)], &words);
}

#[test]
fn weights_that_are_not_numbers() {
    let model = copy("nan");
    let mut range = 0..0;
    edit_header(&model, UNET, |header| {
        let offsets = &header["conv_out.bias"]["data_offsets"];
        let at = |index: usize| offsets[index].as_u64().expect("an offset") as usize;
        range = at(0)..at(1);
    });
    replace(&model, UNET, |mut bytes| {
        let (length, rest) = bytes.split_first_chunk_mut::<8>().expect("a length");
        let data = &mut rest[u64::from_le_bytes(*length) as usize..];
        data[range].fill(0xff); // NaN in f16, bf16 and f32
        bytes
    });
    refuses(&["--model", text(&model)], &[UNET, "conv_out.bias", "NaN"]);
}
