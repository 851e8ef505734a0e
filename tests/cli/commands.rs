//! `devices`, `plan`, `doctor`, and options common to all commands.

use super::{command, croquis};
use std::process::Stdio;

#[test]
fn devices_are_listed_and_found_by_name() {
    let json = croquis(&["devices", "--json"]).success().json();
    let listed = croquis(&["devices"]).success();
    let devices = json["devices"].as_array().expect("a list");
    assert!(!devices.is_empty());
    for (index, device) in devices.iter().enumerate() {
        let name = device["name"].as_str().expect("a name");
        assert!(listed.out.contains(&format!("{index}: {name} (")), "{}", listed.out);
        // Drivers for the CPU have the host's memory; others may not tell.
        let memory = device["memory_bytes"].as_u64();
        assert!(memory.is_some() || device["type"] != "Cpu" || cfg!(not(target_os = "linux")));
        assert_eq!(listed.out.contains("GiB of memory"), memory.is_some_and(|b| b >= 1 << 30));
        let plan = croquis(&["plan", "--device", &index.to_string()]).success();
        assert!(plan.err.contains(&format!("device {index}: {name}")), "{}", plan.err);
    }
}

#[test]
fn a_plan_has_every_phase_with_its_totals() {
    let all = ["plan", "--steps", "7", "--guidance-scale", "1"];
    for limits in ["adapter", "webgpu", "adreno"] {
        let plan = croquis(&[&all[..], &["--limits", limits]].concat()).success();
        for phase in ["text_encoder", "prepare", "step", "decoder"] {
            let Some((_, section)) = plan.out.split_once(&format!("== {phase}\n")) else {
                panic!("{limits}: no phase {phase}");
            };
            let section = section.split("\n== ").next().expect("a section");
            for word in ["total: ", " dispatches, ", " GFLOP, ", "weights ", "activations "] {
                assert!(section.contains(word), "{limits}: {phase}: no {word}");
            }
        }
        let (_, summary) = plan.out.split_once("== summary\n").expect("a summary");
        let step = summary.lines().find(|line| line.starts_with("step ")).expect("the steps");
        assert_eq!(step.split_whitespace().nth(1), Some("7"), "{step}");
        assert!(summary.contains("one picture: "), "{summary}");
        let packed = plan.out.contains("; storage packed");
        assert!(packed || limits == "adapter", "{limits}: {}", plan.out);
    }
}

#[test]
fn a_larger_picture_is_a_larger_plan() {
    let work = |width: &str| -> f64 {
        let plan = croquis(&["plan", "--width", width]).success();
        let (_, cost) = plan.out.split_once("one picture: ").expect("a cost");
        cost.split(' ').next().and_then(|word| word.parse().ok()).expect("a number")
    };
    assert!(work("128") > 1.5 * work("64"));
}

#[test]
fn the_doctor_has_a_verdict() {
    let run = croquis(&["doctor", "--json"]);
    let json = run.json();
    let failed: Vec<_> = json["checks"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|check| check["passed"] != true)
        .collect();
    assert_eq!(json["passed"], true, "{failed:#?}");
    assert_eq!(run.status, Some(0));
    for name in ["emoji-64 timesteps", "emoji-64 text embeddings", "emoji-64 picture"] {
        let found = json["checks"].as_array().expect("a list").iter().any(|c| c["name"] == name);
        assert!(found, "{name} was not checked");
    }
    // Every check of a kernel names the variant that ran, and only those.
    for check in json["checks"].as_array().expect("a list") {
        let of_model = check["name"].as_str().expect("a name").starts_with("emoji-64");
        assert_eq!(check["variant"].is_null(), of_model, "{check}");
    }
    let printed = croquis(&["doctor"]).success().out;
    assert!(printed.contains("direct-8") || printed.contains("tiled-"), "{printed}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = command()
        .arg("plan")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the program ends");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !err.contains("panicked"), "{err}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_told() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let run = super::outcome(command().arg("plan").stdout(full));
    assert_eq!(run.complaint(1, &["standard output cannot be written"]), None);
    let run = croquis(&["txt2img", "a red apple", "--steps", "1", "-o", "/dev/full"]);
    assert_eq!(run.complaint(1, &["/dev/full cannot be written", "No space left"]), None);
}

#[test]
fn help_and_version() {
    for command in ["txt2img", "devices", "plan", "doctor"] {
        assert!(croquis(&[command, "--help"]).success().out.contains("Usage: croquis"));
        assert!(croquis(&["--help"]).success().out.contains(command));
    }
    let version = croquis(&["--version"]).success().out;
    assert_eq!(version, format!("croquis {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(croquis::<&str>(&[]).status, Some(2));
}
