//! `croquis upscale`, run as a program.
#![cfg(feature = "cli")]

use crate::golden::{cases, file, golden_picture, waves, with_golden};
use croquis::picture::Picture;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A fresh path for one test's file.
fn fresh(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_file(&path);
    path
}

/// The file of a case's network.
fn network(case: &str) -> PathBuf {
    let path = fresh(&format!("{case}.safetensors"));
    std::fs::write(&path, file(&cases()[case].tensors())).unwrap();
    path
}

fn upscale(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_croquis"));
    command.current_dir(env!("CARGO_TARGET_TMPDIR")).env("CROQUIS_PIPELINE_CACHE", "pipelines");
    command.arg("upscale").args(arguments).output().expect("the program starts")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

#[test]
fn a_picture_is_enlarged_and_its_file_printed() {
    let (input, output) = (fresh("small.png"), fresh("large.png"));
    let expected = with_golden(|golden| {
        golden_picture(golden, "esrgan-x2.image").save(&input, &[]).unwrap();
        golden_picture(golden, "esrgan-x2.upscaled")
    });
    let network = network("esrgan-x2");
    let run = upscale(&[text(&input), text(&output), "--model", text(&network)]);
    let err = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{err}");
    assert_eq!(String::from_utf8_lossy(&run.stdout), format!("{}\n", output.display()));
    assert!(err.contains("30x26 pixels, 2x by ESRGAN, 1 tile in"), "{err}");
    let quality = crate::common::psnr(Picture::open(&output).unwrap().rgb(), expected.rgb());
    assert!(quality >= 55.0, "{quality:.1} dB");
}

#[test]
fn tiles_and_memory_are_options_and_json_tells_them() {
    let (input, output) = (fresh("wide.png"), fresh("wide-large.png"));
    waves(100, 40).save(&input, &[]).unwrap();
    let network = network("compact-x3");
    let files = [text(&input), text(&output), "-m", text(&network), "--json"];
    let json = |more: &[&str]| -> serde_json::Value {
        let run = upscale(&[&files[..], more].concat());
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        serde_json::from_slice(&run.stdout).expect("a line of JSON")
    };
    let whole = json(&[]);
    assert_eq!(whole["tiles"], 1);
    assert_eq!(whole["input_size"], serde_json::json!([100, 40]));
    assert_eq!(whole["size"], serde_json::json!([300, 120]));
    assert_eq!(whole["architecture"], "Real-ESRGAN compact");
    assert_eq!(json(&["--tiles", "60"])["tiles"], 2);
    assert!(json(&["--memory", "1M"])["tiles"].as_u64().unwrap() > 2);
}

/// Runs `txt2img` with the embedded model, and returns the settings in its PNG.
#[cfg(feature = "embedded")]
fn settings(name: &str, more: &[&str]) -> (Picture, String) {
    let output = fresh(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_croquis"));
    command.current_dir(env!("CARGO_TARGET_TMPDIR")).env("CROQUIS_PIPELINE_CACHE", "pipelines");
    command.args(["txt2img", "a heart", "--seed", "1", "--steps", "2", "-o", text(&output)]);
    let run = command.args(more).output().expect("the program starts");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let file = std::fs::read(&output).unwrap();
    let settings = croquis::picture::settings_text(&file).unwrap().expect("settings");
    (Picture::open(&output).unwrap(), settings)
}

#[test]
#[cfg(feature = "embedded")]
fn a_second_pass_is_drawn_and_noted_as_the_web_ui_does() {
    let (picture, noted) = settings("hires.png", &["--hires", "2", "--hires-strength", "0.5"]);
    assert_eq!((picture.width(), picture.height()), (128, 128));
    let expected = "Size: 64x64, Model: emoji-64, Denoising strength: 0.5, Hires upscale: 2, Hires upscaler: Lanczos, ";
    assert!(noted.contains(expected), "{noted}");
    let network = network("compact-x3");
    let more = ["--hires", "1.5", "--hires-steps", "4", "--upscaler", text(&network)];
    let (picture, noted) = settings("hires-upscaler.png", &more);
    assert_eq!((picture.width(), picture.height()), (96, 96));
    let expected =
        "Denoising strength: 0.5, Hires upscale: 1.5, Hires steps: 4, Hires upscaler: compact-x3, ";
    assert!(noted.contains(expected), "{noted}");
    let (_, once) = settings("once.png", &[]);
    assert!(!once.contains("Hires") && !once.contains("Denoising"), "{once}");
}

#[test]
fn wrong_files_are_refused() {
    let (input, output) = (fresh("in.png"), fresh("out.png"));
    waves(8, 8).save(&input, &[]).unwrap();
    let network = network("compact-x1");
    let pickle = fresh("network.pth");
    std::fs::write(&pickle, b"PK\x03\x04archive/data.pkl").unwrap();
    let vae = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/sd1-tiny/vae/diffusion_pytorch_model.safetensors"
    );
    let nowhere = fresh("missing-folder").join("out.png");
    let table: [(&str, &Path, &str, &[&str]); 6] = [
        (text(&input), &output, "missing.safetensors", &["--model: missing.safetensors: no such"]),
        (text(&input), &output, text(&pickle), &["--model", "a PyTorch pickle"]),
        (text(&input), &output, vae, &["--model", "found an autoencoder"]),
        ("missing.png", &output, text(&network), &["missing.png"]),
        (text(&network), &output, text(&network), &["compact-x1.safetensors"]),
        (text(&input), &nowhere, text(&network), &["OUT: ", "does not exist; create it"]),
    ];
    for (input, output, model, words) in table {
        let run = upscale(&[input, text(output), "-m", model]);
        let err = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{err}");
        assert!(words.iter().all(|word| err.contains(word)), "{words:?}: {err}");
        assert!(!err.contains("hint: weights and config.json"), "{err}");
        assert!(!output.exists());
    }
    let run = upscale(&[text(&input), text(&output), "-m", text(&network), "--tiles", "3"]);
    assert!(String::from_utf8_lossy(&run.stderr).contains("--tiles: tiles: expected sides of at"));
    assert_eq!(upscale(&[text(&input), text(&output)]).status.code(), Some(2));
}
