//! Prompts from standard input, with LoRAs that they name, and notes on what is read as text.

use super::{command, croquis, fresh, outcome, text};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A file of the tests' models.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Draws a picture by sd1-tiny; its bytes, and what was printed to standard error.
fn draw(prompt: &str, arguments: &[&str], file: &str) -> (Vec<u8>, String) {
    let (file, model) = (fresh(file), golden("sd1-tiny"));
    let common = ["--seed", "1", "--steps", "1", "-W", "64", "-H", "64", "-o", text(&file)];
    let all = [&["txt2img", prompt, "--model", text(&model)], &common[..], arguments].concat();
    let run = croquis(&all).success();
    (fs::read(&file).expect("a picture"), run.err)
}

/// A folder with `kohya.safetensors` in a folder of its own, and two files of one name.
fn loras(name: &str) -> PathBuf {
    let folder = fresh(name);
    for (from, to) in [("kohya", "style/kohya"), ("peft", "a/twin"), ("peft", "b/twin")] {
        let to = folder.join(format!("{to}.safetensors"));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(golden(&format!("lora/{from}.safetensors")), to).unwrap();
    }
    folder
}

#[test]
fn a_prompt_names_loras() {
    let folder = loras("named-loras");
    let file = format!("{}:0.8", text(&golden("lora/kohya.safetensors")));
    let (given, _) = draw("a cat", &["--lora", &file], "given.png");
    let in_folder = ["--lora-dir", text(&folder)];
    let (named, _) = draw("a<lora:kohya:0.8> cat", &in_folder, "named.png");
    assert_eq!(named, given);
    let (other, _) = draw("a<lora:kohya:0.3> cat", &in_folder, "other.png");
    assert_ne!(other, given);
    // Without a folder, or in a plain prompt, it is text, of which the former is said.
    let (plain, _) = draw("a<lora:kohya:0.8> cat", &["--plain-prompts"], "plain.png");
    let (words, said) = draw("a<lora:kohya:0.8> cat", &[], "words.png");
    assert!(said.contains("<lora:...> is read as text") && said.contains("--lora-dir"), "{said}");
    assert!(words != named && plain != named);
}

/// A file with those layers of `kohya.safetensors` whose keys begin with a prefix.
fn part_of_kohya(prefix: &str, name: &str) -> PathBuf {
    let bytes = fs::read(golden("lora/kohya.safetensors")).unwrap();
    let all = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let wanted = all.tensors().into_iter().filter(|(key, _)| key.starts_with(prefix));
    let file = fresh(name);
    fs::write(&file, safetensors::serialize(wanted, None).unwrap()).unwrap();
    file
}

#[test]
fn a_lora_has_a_weight_for_the_text_encoder_and_one_for_the_unet() {
    let [text_encoder, unet] = [("lora_te_", "te.safetensors"), ("lora_unet_", "unet.safetensors")]
        .map(|(prefix, name)| part_of_kohya(prefix, name));
    let apart = |one: f32, other: f32| {
        let files = [format!("{}:{one}", text(&text_encoder)), format!("{}:{other}", text(&unet))];
        draw("a cat", &["--lora", &files[0], "--lora", &files[1]], "apart.png").0
    };
    let folder = loras("two-weights");
    let pixels = |bytes: &[u8]| croquis::picture::Picture::read(bytes).unwrap();
    let (wanted, swapped) = (pixels(&apart(0.3, 0.9)), pixels(&apart(0.9, 0.3)));
    assert!(wanted != swapped);
    let option = format!("{}:te=0.3:unet=0.9", text(&golden("lora/kohya.safetensors")));
    assert!(pixels(&draw("a cat", &["--lora", &option], "two-weights.png").0) == wanted);
    for tag in ["0.3:0.9", "te=0.3:unet=0.9", "0.3:unet=0.9"] {
        let prompt = format!("a<lora:kohya:{tag}> cat");
        let (named, _) = draw(&prompt, &["--lora-dir", text(&folder)], "two-weights.png");
        assert!(pixels(&named) == wanted, "{tag}");
        let settings = croquis::picture::settings_text(&named).unwrap().expect("settings");
        assert!(settings.contains("Loras: \"kohya: te=0.3:unet=0.9\""), "{settings}");
    }
}

#[test]
fn loras_are_found_in_their_folder_only() {
    let folder = loras("found-loras");
    let model = golden("sd1-tiny");
    let outside = folder.with_file_name("outside.safetensors");
    fs::copy(golden("lora/kohya.safetensors"), &outside).unwrap();
    let missing = fresh("no-loras");
    for (tag, folder, words) in [
        ("kohyo", &folder, &["<lora:kohyo>: expected a LoRA in", "nearest are kohya, twin"][..]),
        ("outside", &folder, &["expected a LoRA"]),
        ("../outside", &folder, &["expected the name of a file, got a path"]),
        ("style/kohya", &folder, &["expected the name of a file, got a path"]),
        ("a\\twin", &folder, &["expected the name of a file, got a path"]),
        ("..", &folder, &["expected the name of a file, got a path"]),
        ("twin", &folder, &["expected one file of this name, got", "a/twin", "b/twin"]),
        ("kohya:much", &folder, &["expected a number, got \"much\""]),
        ("kohya", &missing, &["--lora-dir", "cannot read the folder"]),
    ] {
        let prompt = format!("a <lora:{tag}>");
        let arguments = ["txt2img", &prompt, "--model", text(&model), "--lora-dir", text(folder)];
        assert_eq!(croquis(&arguments).complaint(1, words), None, "{tag}");
    }
    // The folder may be set for all runs.
    let mut run = command();
    run.args(["txt2img", "a <lora:kohyo>"]).env("CROQUIS_LORA_DIR", &folder);
    assert_eq!(outcome(&mut run).complaint(1, &["nearest are kohya"]), None);
}

#[test]
fn a_prompt_comes_from_standard_input() {
    let (argument, _) = draw("a cat\nand a dog", &[], "argument.png");
    let (file, model) = (fresh("input.png"), golden("sd1-tiny"));
    let mut process = command()
        .args(["txt2img", "-", "--model", text(&model), "--seed", "1", "--steps", "1"])
        .args(["-W", "64", "-H", "64", "-o", text(&file)])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(b"a cat\nand a dog\n").unwrap();
    assert!(process.wait().unwrap().success());
    assert_eq!(fs::read(&file).unwrap(), argument);
}

#[test]
fn what_is_no_construct_is_noted() {
    for (prompt, negative, note) in [
        ("a [red:blue]", "", "square brackets with a colon are read as weights"),
        ("a | [b|c]", "", "there is a | outside of them"),
        ("a", "b AND c", "AND is read as a word"),
        ("a", "<lora:b>", "<lora:b> is read as text"),
    ] {
        let (_, said) = draw(prompt, &["-n", negative], "noted.png");
        assert!(said.contains(note), "{prompt:?}: {said}");
    }
    let (_, said) = draw("a [red:blue:1] [b|c] AND d :0.5", &["-n", "[e:0.5]"], "silent.png");
    assert!(!said.contains("read as"), "{said}");
}

#[test]
fn sizes_and_second_prompts_are_for_sdxl() {
    let (file, model) = (fresh("xl.png"), golden("sdxl-tiny"));
    let draw = |arguments: &[&str]| {
        let common = ["--seed", "1", "--steps", "1", "-W", "64", "-H", "64", "-o", text(&file)];
        let all = [&["txt2img", "a", "--model", text(&model)], &common[..], arguments].concat();
        croquis(&all).success();
        fs::read(&file).unwrap()
    };
    let plain = draw(&[]);
    for arguments in [
        &["--prompt-2", "b"][..],
        &["--negative-prompt-2", "b"],
        &["--original-size", "512x768"],
        &["--crop", "8,24"],
        &["--target-size", "512x768"],
        &["--negative-original-size", "512x768"],
        &["--negative-crop", "8,24"],
        &["--negative-target-size", "512x768"],
    ] {
        assert_ne!(draw(arguments), plain, "{arguments:?}");
    }
    assert_eq!(draw(&["--prompt-2", "a", "--original-size", "64x64", "--crop", "0,0"]), plain);
    let refused = croquis(&["txt2img", "a", "--prompt-2", "b"]);
    assert_eq!(refused.complaint(1, &["expected a model with two text encoders"]), None);
    for (option, value) in [("--crop", "8x24"), ("--original-size", "512"), ("--target-size", "a")]
    {
        let run = croquis(&["txt2img", "a", option, value]);
        assert_eq!(run.complaint(2, &[option, "expected"]), None, "{option}");
    }
}
