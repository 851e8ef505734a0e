//! Files under the names that the pages use: tiny models in place of published ones, and pictures.

use super::golden;
use croquis::internal::random::Generator;
use croquis::picture::Picture;
use half::f16;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The models of the pages, and the tiny ones that stand for them.
const MODELS: [(&str, &str); 9] = [
    ("tests", "tests"),
    ("models", "models"),
    ("stable-diffusion-v1-5", "tests/golden/sd1-tiny"),
    ("path/to/stable-diffusion-v1-5", "tests/golden/sd1-tiny"),
    ("sdxl-base", "tests/golden/sdxl-tiny"),
    ("taesd", "tests/golden/taesd-tiny"),
    ("lcm-lora-sdv1-5.safetensors", "tests/golden/lora/kohya.safetensors"),
    ("model.safetensors", "tests/golden/single/sd1.safetensors"),
    // A folder in place of a GGUF file: what is tested is the option, not the format.
    ("unet-q4_0.gguf", "tests/golden/sd1-tiny"),
];

/// The pictures of the pages.
const PICTURES: [&str; 7] =
    ["heart.png", "mask.png", "edges.png", "depth.png", "park.png", "small.png", "in.png"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn link(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
    symlink(from, to).expect("a link");
}

/// A new folder with everything that the pages use.
pub fn folder(page: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docs").join(page);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    for (name, stand_in) in MODELS {
        link(&root().join(stand_in), &folder.join(name));
    }
    for (name, base, over) in [
        ("inpaint-tiny", "sd1-tiny", "sd1-inpaint-tiny"),
        ("stable-diffusion-inpainting", "sd1-tiny", "sd1-inpaint-tiny"),
        ("refiner-tiny", "sdxl-tiny", "refiner-tiny"),
        ("sdxl-refiner", "sdxl-tiny", "refiner-tiny"),
    ] {
        combined(&folder.join(name), base, over);
    }
    for name in PICTURES {
        let half = |x: usize| if x < 32 { [0, 0, 0] } else { [255, 255, 255] };
        let rgb = (0..64 * 64).flat_map(|pixel| half(pixel % 64)).collect();
        let picture = Picture::new(64, 64, rgb).expect("a picture");
        picture.save(folder.join(name), &[]).expect("it is saved");
    }
    let network = golden::cases()["compact-x4"].tensors();
    for name in ["tiny.safetensors", "RealESRGAN_x4plus.safetensors"] {
        fs::write(folder.join(name), golden::file(&network)).expect("an upscaler");
    }
    let vectors: Vec<f16> =
        Generator::new(7).normal(64).iter().map(|value| f16::from_f32(*value)).collect();
    let word = golden::file(&[("<cat-toy>".into(), vec![2, 32], vectors)]);
    fs::write(folder.join("cat-toy.safetensors"), word).expect("a textual inversion");
    let requests = "{\"prompt\": \"a red apple\", \"seed\": 1, \"output\": \"apple.png\"}\n\
                    {\"prompt\": \"a blue heart\", \"seed\": 2, \"count\": 2}\n";
    fs::write(folder.join("requests.jsonl"), requests).expect("requests");
    folder
}

/// A model folder of one of tests/golden with the UNet of another, which is without the files that
/// its family has not.
fn combined(to: &Path, base: &str, over: &str) {
    let golden = root().join("tests/golden");
    for entry in fs::read_dir(golden.join(base)).expect("a model").flatten() {
        let name = entry.file_name();
        let skipped = over == "refiner-tiny" && (name == "text_encoder" || name == "tokenizer");
        if entry.path().is_dir() && name != "unet" && !skipped {
            link(&entry.path(), &to.join(name));
        }
    }
    for name in ["unet", "model_index.json"] {
        link(&golden.join(over).join(name), &to.join(name));
    }
}
