//! Invalid arguments: each is refused with what was expected and what was given.

use super::{command, croquis, fresh, outcome, refuses, safetensors_file, text};
use std::fs;

#[test]
fn sizes_steps_and_scales() {
    let cases: [(&[&str], &[&str]); 7] = [
        (&["--width", "65"], &["width: expected a multiple of", "such as 64, got 65"]),
        (&["--height", "0"], &["height: expected a multiple of", "got 0"]),
        (&["--width", "99999999999999"], &["width: expected a multiple of", "got 99999999999999"]),
        (&["--steps", "0"], &["steps: expected 1 to 1000, got 0"]),
        (&["--guidance-scale", "NaN"], &["guidance scale: expected a number from 0, got NaN"]),
        (&["--guidance-scale", "-1"], &["guidance scale: expected a number from 0, got -1"]),
        (
            &["--seed", "18446744073709551615", "--count", "2"],
            &["--seed: expected 2 seeds", "18446744073709551615"],
        ),
    ];
    for (arguments, words) in cases {
        let run = croquis(&[&["txt2img", "a red apple"], arguments].concat());
        assert_eq!(run.complaint(1, words), None, "{arguments:?}");
    }
}

#[test]
fn wrong_uses_have_status_2() {
    let cases: [(&[&str], &[&str]); 22] = [
        (&[], &["PROMPT"]),
        (&["x", "--mask", "a.png"], &["--image"]),
        (&["x", "--control-image", "a.png"], &["--controlnet"]),
        (&["x", "--controlnet", "a"], &["--control-image"]),
        (&["x", "--unet", "a.gguf"], &["--model"]),
        (&["x", "--memory", "many"], &["'many'", "such as 6G"]),
        (&["x", "--tiles", "few"], &["'few'", "auto, never or a number"]),
        (&["x", "--spacing", "wide"], &["'wide'", "karras", "sgm-uniform"]),
        (&["x", "--rng", "dice"], &["'dice'", "torch", "philox"]),
        (&["x", "--scheduler", "magic"], &["'magic'", "--scheduler", "ddim", "dpm++2m-karras"]),
        (&["x", "--storage", "f8"], &["'f8'", "--storage", "packed"]),
        (&["x", "--steps", "-3"], &["'-3'", "--steps"]),
        (&["x", "--seed", "soon"], &["'soon'", "--seed"]),
        (&["x", "--count", "0"], &["'0'", "--count"]),
        (&["x", "--output", ""], &["a value is required", "--output"]),
        (&["x", "--strength", "0.5"], &["--image"]),
        (&["x", "--seed", "-2"], &["'-2'", "--seed", "-1 for a random one"]),
        (&["x", "--quality", "0"], &["'0'", "--quality"]),
        (&["x", "--resize", "squeeze"], &["'squeeze'", "crop", "fit", "stretch", "none"]),
        (&["x", "--hires-strength", "0.5"], &["--hires"]),
        (&["x", "--upscaler", "a.safetensors"], &["--hires"]),
        (&["x", "--hires", "2", "--image", "a.png"], &["--hires", "--image"]),
    ];
    for (arguments, words) in cases {
        let run = croquis(&[&["txt2img"], arguments].concat());
        assert_eq!(run.complaint(2, words), None, "{arguments:?}");
    }
}

#[test]
fn what_does_not_fit_the_model_is_refused_before_any_work() {
    let cases: [(&[&str], &[&str]); 11] = [
        (&["--eta", "0.5", "--scheduler", "euler"], &["euler: eta", "ddim and tcd", "got 0.5"]),
        (&["--eta", "1.5", "--scheduler", "ddim"], &["eta", "from 0 to 1", "got 1.5"]),
        (&["--guidance-rescale", "2"], &["guidance rescale", "from 0 to 1", "got 2"]),
        (&["--clip-skip", "0"], &["clip skip: expected 1", "got 0"]),
        (&["--clip-skip", "99"], &["clip skip"]),
        (&["--spacing", "karras", "--scheduler", "lcm"], &["lcm", "karras"]),
        (&["--tiles", "3"], &["--tiles", "at least", "got 3"]),
        (&["--memory", "100K"], &["memory budget is 0.1 MiB", "MiB"]),
        (&["--lora", "nothing.safetensors:0.5"], &["--lora", "nothing.safetensors"]),
        (&["--embedding", "nothing.safetensors"], &["--embedding", "nothing.safetensors"]),
        (&["--vae", "nothing"], &["--vae", "nothing"]),
    ];
    for (arguments, words) in cases {
        refuses(arguments, words);
    }
}

#[test]
fn devices_that_do_not_exist() {
    let listed = croquis(&["devices", "--json"]).success().json();
    let name = listed["devices"][0]["name"].as_str().expect("a device").to_owned();
    for device in ["Voodoo 2", "99"] {
        let words = ["no device matches", device, "the devices are 0:", &name];
        refuses(&["--device", device], &words);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn no_adapter_at_all() {
    let bare = |arguments: &[&str]| {
        let mut command = command();
        command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
        outcome(command.env("VK_ADD_DRIVER_FILES", "").args(arguments))
    };
    let words = ["no GPU was found", "install a Vulkan driver", "mesa-vulkan-drivers"];
    for arguments in [&["txt2img", "x"][..], &["doctor"], &["plan"], &["devices"]] {
        assert_eq!(bare(arguments).complaint(1, &words), None, "{arguments:?}");
    }
    let plan = bare(&["plan", "--limits", "webgpu"]).success();
    assert!(plan.out.contains("== summary"), "a plan needs no GPU");
    assert_eq!(bare(&["devices", "--json"]).success().out, "{\"devices\":[]}\n");
}

#[test]
fn native_halves_only_where_the_device_has_them() {
    let listed = croquis(&["devices", "--json"]).success().json();
    let devices = listed["devices"].as_array().expect("a list");
    for (index, device) in devices.iter().enumerate() {
        if device["shader_f16"] == true {
            println!("not tried: {} has native 16-bit floats", device["name"]);
            continue;
        }
        let words = ["no native 16-bit floats", "use storage packed or f32"];
        refuses(&["--storage", "f16", "--device", &index.to_string()], &words);
    }
}

#[test]
fn outputs_that_cannot_be_written_are_refused_before_the_work() {
    let folder = fresh("a-folder");
    let nowhere = folder.join("missing/picture.png");
    fs::create_dir(&folder).expect("a folder");
    let file = folder.join("file");
    fs::write(&file, "kept").expect("a file");
    let below = file.join("picture.png");
    let cases: [(&str, &[&str]); 3] = [
        (text(&nowhere), &["--output", text(&nowhere), "does not exist; create it"]),
        (text(&folder), &["--output: expected the name of a file, got the folder", "picture.png"]),
        (text(&below), &["--output", text(&file), "is not a folder"]),
    ];
    for (output, words) in cases {
        let run = croquis(&["txt2img", "a red apple", "--output", output]);
        assert_eq!(run.complaint(1, words), None, "{output}");
        assert!(!run.err.contains("device 0"), "a device was opened: {}", run.err);
    }
    assert_eq!(fs::read(&file).expect("the file"), b"kept");
}

#[test]
fn a_refused_request_leaves_an_existing_picture_alone() {
    let (old, new) = (fresh("old.png"), fresh("new.png"));
    fs::write(&old, "an older picture").expect("a file");
    refuses(&["--output", text(&old), "--width", "65"], &["width"]);
    refuses(&["--output", text(&new), "--width", "65"], &["width"]);
    assert_eq!(fs::read(&old).expect("the file"), b"an older picture");
    assert!(!new.exists());
}

#[test]
fn latents_that_do_not_fit() {
    let mut values = vec![0.5; 512];
    let wide = safetensors_file("wide.safetensors", "latents", &[8, 4, 16], &values);
    let flat = safetensors_file("flat.safetensors", "latents", &[512], &values);
    values[7] = f32::NAN;
    let nan = safetensors_file("nan.safetensors", "noise", &[1, 8, 8, 8], &values);
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/models/emoji-64/golden/golden.safetensors");
    let size = ["--width", "64", "--height", "64", "--latents"];
    let with = |file| [&size[..], &[file]].concat();
    refuses(&with(text(&wide)), &[text(&wide), "expected [8, 8, 8], got [8, 4, 16]"]);
    refuses(&with(text(&flat)), &["expected [1, C, h, w] or [C, h, w], got [512]"]);
    refuses(&with(text(&nan)), &["noise: expected finite numbers, got NaN at index 7"]);
    refuses(&with(golden), &["expected a tensor named latents", "initial_latents"]);
    refuses(&with("missing.safetensors"), &["--latents", "missing.safetensors", "no such file"]);
}

#[test]
fn pictures_to_start_from_that_do_not_fit() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/emoji-64/");
    let sd = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/sd1-tiny");
    let (image, text) = (format!("{model}golden/image.png"), format!("{model}model_index.json"));
    refuses(&["--image", "missing.png"], &["--image: missing.png cannot be opened"]);
    refuses(
        &["--image", &text],
        &["--image", "model_index.json: this is not a picture", "PNG, JPEG or WebP"],
    );
    let strength = ["strength: expected a number up to 1", "got NaN"];
    refuses(&["--image", &image, "--strength", "NaN"], &strength);
    let huge = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pictures/huge.png");
    for option in ["--image", "--mask", "--control-image"] {
        let controlnet = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/controlnet-tiny");
        let mut arguments = vec![option, huge];
        match option {
            "--mask" => arguments.extend(["--image", &image]),
            "--control-image" => arguments.extend(["--controlnet", controlnet, "--model", sd]),
            _ => {}
        }
        refuses(&arguments, &[option, "huge.png", "up to 16384 pixels a side, got 100000x100000"]);
    }
    let odd = fresh("odd.png");
    let picture = croquis::picture::Picture::new(33, 64, vec![0; 3 * 33 * 64]).expect("a picture");
    picture.save(&odd, &[]).expect("a file");
    let odd = super::text(&odd);
    refuses(&["--image", odd, "--resize", "none"], &["width: expected a multiple of", "got 33"]);
}
