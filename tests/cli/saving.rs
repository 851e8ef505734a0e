//! The output file: checked before the work, and whole or not there whatever ends the process.
#![cfg(unix)]

use super::{command, fresh, outcome, refuses, text};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let mut names: Vec<_> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn names_and_extensions_are_checked_before_the_work() {
    let long = "a".repeat(300) + ".png";
    refuses(&["-o", &long], &["--output", "cannot be written", "too long"]);
    refuses(&["-o", "a.gif"], &["--output", "a.gif: expected a name that ends in .png, .jpg"]);
    refuses(&["--preview", "a.tiff"], &["--preview", "a.tiff: expected a name that ends"]);
}

/// A limit on the size of files stands for a full disk: the shell sets it for the program.
#[test]
fn a_write_that_fails_leaves_nothing() {
    let folder = fresh("limited");
    fs::create_dir(&folder).expect("a folder");
    let file = folder.join("picture.png");
    let program = command();
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -f 1; exec \"$0\" \"$@\""]).arg(program.get_program());
    shell.args(["txt2img", "a red apple", "--steps", "1", "-o", text(&file)]);
    shell.current_dir(env!("CARGO_TARGET_TMPDIR"));
    shell.env("CROQUIS_PIPELINE_CACHE", "").env("MESA_SHADER_CACHE_DISABLE", "true");
    let run = outcome(&mut shell);
    assert_eq!(run.complaint(1, &["picture.png cannot be written", "too large"]), None);
    assert_eq!(names(&folder), [""; 0]);
}

/// Every step saves a preview, so that signals arrive before, during and after saving.
#[test]
fn a_signal_leaves_whole_files_only() {
    // SIGINT and SIGHUP stay ignored where this test was started so, as in the background.
    for index in 0..4 {
        let folder = fresh(&format!("signals-{index}"));
        fs::create_dir(&folder).expect("a folder");
        let preview = folder.join("preview.png");
        let mut command = command();
        let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/sd1-tiny");
        command.args(["txt2img", "noise", "--model", model, "--steps", "900"]);
        command.args(["--preview", text(&preview), "-o", text(&folder.join("picture.png"))]);
        command.stderr(Stdio::null());
        let mut child = command.spawn().expect("the program starts");
        let started = Instant::now();
        while !preview.exists() {
            assert!(started.elapsed() < Duration::from_secs(120), "no preview");
            assert_eq!(child.try_wait().expect("a status"), None, "the program ended");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(37 * index as u64));
        let process = child.id().to_string();
        Command::new("kill").args(["-TERM", &process]).status().expect("kill");
        let status = child.wait().expect("a status");
        assert_eq!(status.code(), None, "ended by the signal");
        assert_eq!(names(&folder), ["preview.png"]);
        croquis::picture::Picture::open(&preview).expect("a whole preview");
    }
}
