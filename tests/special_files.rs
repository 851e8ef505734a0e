//! Pipes, devices and endless files where a model's files should be: errors, without waiting.
#![cfg(unix)]

use croquis::diffusion::{Autoencoder, ControlNet, Model, TextualInversion};
use croquis::{Lora, ModelFiles, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

fn fresh(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a folder");
    path
}

fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo runs");
    assert!(made.success());
}

/// The message of the error that a call returns within some seconds.
fn refusal<T: 'static>(call: impl FnOnce() -> Result<T> + Send + 'static) -> String {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = sender.send(call().err().map(|error| error.to_string()));
    });
    let answer = receiver.recv_timeout(Duration::from_secs(30)).expect("an answer in time");
    answer.expect("an error")
}

#[test]
fn pipes_and_devices_are_refused_without_waiting() {
    let folder = fresh("special-files");
    let pipe_path = folder.join("model.safetensors");
    pipe(&pipe_path);
    for path in [pipe_path, PathBuf::from("/dev/zero")] {
        let [a, b, c, d, e] = [(); 5].map(|()| path.clone());
        for message in [
            refusal(move || ModelFiles::open(a)),
            refusal(move || Lora::open(b)),
            refusal(move || TextualInversion::open(c)),
            refusal(move || Autoencoder::open(d)),
            refusal(move || ModelFiles::open(e).and_then(|files| ControlNet::open(&files))),
        ] {
            let expected = "expected a regular file, got a pipe, a socket or a device";
            assert!(message.contains(expected), "{}: {message}", path.display());
        }
    }
}

#[test]
fn a_folder_whose_files_are_pipes_or_endless_is_refused() {
    let good = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sd1-tiny");
    for (file, end) in [
        ("model_index.json", "pipe"),
        ("unet/config.json", "pipe"),
        ("unet/config.json", "large"),
        ("unet/diffusion_pytorch_model.safetensors", "pipe"),
        ("vae/config.json", "pipe"),
        ("text_encoder/config.json", "large"),
        ("tokenizer/vocab.json", "pipe"),
        ("scheduler/scheduler_config.json", "large"),
    ] {
        let folder = fresh("special-folder");
        let copied = Command::new("cp").arg("-r").arg(good.join(".")).arg(&folder).status();
        assert!(copied.expect("cp runs").success());
        let path = folder.join(file);
        fs::remove_file(&path).expect("the file was there");
        match end {
            "pipe" => pipe(&path),
            _ => fs::File::create(&path)
                .and_then(|file| file.set_len(1 << 40))
                .expect("a sparse file"),
        }
        let message =
            refusal(move || ModelFiles::open(folder).and_then(|files| Model::open(&files)));
        let expected = match end {
            "pipe" if file == "model_index.json" => "model_index.json is missing",
            "pipe" => "expected a regular file",
            _ => "expected a file of at most 67108864 bytes",
        };
        assert!(message.contains(expected), "{file}, {end}: {message}");
    }
}
