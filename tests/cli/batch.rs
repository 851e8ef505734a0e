//! `croquis batch`: requests line by line.

use super::{Outcome, command, croquis, fresh, outcome, text};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A new folder with a file of requests in it.
fn folder(name: &str, lines: &[String]) -> (PathBuf, PathBuf) {
    let folder = fresh(name);
    fs::create_dir(&folder).expect("a folder");
    let file = folder.join("requests.jsonl");
    fs::write(&file, lines.join("\n")).expect("a file");
    (folder, file)
}

/// The results that a run printed.
fn results(run: &Outcome) -> Vec<Value> {
    let read = |line| serde_json::from_str(line).expect("a line of JSON");
    run.out.lines().map(read).collect()
}

fn batch(folder: &Path, arguments: &[&str]) -> Outcome {
    outcome(command().current_dir(folder).arg("batch").args(arguments))
}

#[test]
fn lines_are_drawn_as_txt2img_does_and_errors_do_not_end_the_batch() {
    let lines = [
        json!({ "prompt": "a red apple", "seed": 7, "output": "apple.png" }).to_string(),
        json!({ "prompt": "a red apple", "sede": 7 }).to_string(),
        String::new(),
        "a red apple".into(),
        json!({ "prompt": "a blue heart", "guidance-scale": 2.5, "seed": 3, "count": 2 })
            .to_string(),
        json!({ "prompt": "x", "output": "apple.png" }).to_string(),
        json!({ "prompt": "x", "lora": ["missing.safetensors:0.5"] }).to_string(),
        json!({ "prompt": "x", "steps": 0 }).to_string(),
        json!({ "seed": 1 }).to_string(),
        json!({ "prompt": "a red apple", "seed": 7, "steps": 2, "width": null }).to_string(),
    ];
    let (folder, file) = folder("batch", &lines);
    let run = batch(&folder, &[text(&file), "--steps", "1"]);
    assert_eq!(run.status, Some(1), "{}", run.err);
    let results = results(&run);
    let numbers: Vec<_> = results.iter().map(|result| result["line"].as_u64()).collect();
    assert_eq!(numbers, [1, 2, 4, 5, 6, 7, 8, 9, 10].map(Some));
    assert_eq!(results[0]["files"], json!(["apple.png"]));
    assert_eq!(results[3]["files"], json!(["picture-5-1.png", "picture-5-2.png"]));
    assert_eq!(results[3]["seeds"], json!([3, 4]));
    assert!(results[0]["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
    for (result, kind, words) in [
        (1, "Argument", "there is no option sede"),
        (2, "Format", "expected a JSON object"),
        (4, "Argument", "apple.png, which line 1 wrote"),
        (5, "NotFound", "missing.safetensors"),
        (6, "Argument", "steps: expected 1 to 1000, got 0"),
        (7, "Argument", "PROMPT"),
    ] {
        let error = &results[result]["error"];
        assert_eq!(error["kind"], kind, "{error}");
        assert!(error["message"].as_str().is_some_and(|text| text.contains(words)), "{error}");
    }
    // One model for all of them; the pictures are those of txt2img.
    assert_eq!(run.err.matches("device 0: ").count(), 1, "{}", run.err);
    for (drawn, steps) in [("apple.png", "1"), ("picture-10.png", "2")] {
        let alone = folder.join("alone.png");
        let arguments = ["txt2img", "a red apple", "-s", "7", "--steps", steps, "-o", text(&alone)];
        croquis(&arguments).success();
        let [drawn, alone] =
            [folder.join(drawn), alone].map(|file| fs::read(file).expect("a picture"));
        assert!(drawn == alone, "{steps} steps differ");
    }
}

#[test]
fn another_model_is_loaded_where_a_line_asks_for_it() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/emoji-64");
    let lines = [
        json!({ "prompt": "x", "seed": 1 }).to_string(),
        json!({ "prompt": "x", "seed": 1, "model": model }).to_string(),
        json!({ "prompt": "y", "seed": 1, "model": model }).to_string(),
    ];
    let (folder, file) = folder("batch-models", &lines);
    let run = batch(&folder, &[text(&file), "--steps", "1"]).success();
    assert_eq!(run.err.matches("device 0: ").count(), 2, "{}", run.err);
    let picture = |line| {
        let file = folder.join(format!("picture-{line}.png"));
        croquis::picture::Picture::open(file).expect("a picture")
    };
    assert!(picture(1) == picture(2) && picture(2) != picture(3));
}

#[test]
fn an_interrupted_batch_goes_on() {
    let request = |seed: usize| json!({ "prompt": "x", "seed": seed, "steps": 1 }).to_string();
    let (folder, file) = folder("batch-again", &[request(1), request(2), request(3)]);
    let run = || batch(&folder, &[text(&file), "--results", "results.jsonl"]);
    let kept = folder.join("results.jsonl");
    assert_eq!(results(&run().success()).len(), 3);
    let whole = fs::read_to_string(&kept).expect("results");
    assert_eq!(whole.lines().count(), 3);
    // Cut off within the second result; the third picture is asked for with another seed.
    let second = whole.match_indices('\n').nth(1).expect("two lines").0;
    fs::write(&kept, &whole[..second - 5]).expect("results");
    fs::write(&file, [request(1), request(2), request(4)].join("\n")).expect("requests");
    let again = run().success();
    let lines: Vec<_> = results(&again).iter().map(|result| result["line"].clone()).collect();
    assert_eq!(lines, [2, 3], "{}", again.err);
    assert!(again.err.contains("note: 1 line was done already"), "{}", again.err);
    let all = fs::read_to_string(&kept).expect("results");
    assert!(all.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{all}");
    // Nothing is left to do, until a picture is gone.
    assert_eq!(run().success().out, "");
    fs::remove_file(folder.join("picture-2.png")).expect("a picture");
    assert_eq!(results(&run().success()).len(), 1);
    fs::write(&kept, "notes of mine\n").expect("a file");
    assert_eq!(run().complaint(1, &["results.jsonl:1: expected a result"]), None);
    assert_eq!(fs::read_to_string(&kept).expect("a file"), "notes of mine\n");
}

#[test]
fn standard_input_is_answered_line_by_line() {
    let folder = fresh("batch-pipe");
    fs::create_dir(&folder).expect("a folder");
    let mut command = command();
    command.current_dir(&folder).args(["batch", "-", "--steps", "1", "-q", "-o", "p.png"]);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = child.expect("the program starts");
    let mut input = child.stdin.take().expect("a pipe");
    let output = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    let mut answers = std::io::BufRead::lines(output);
    for line in 1..3 {
        writeln!(input, "{}", json!({ "prompt": "x", "seed": line })).expect("a line");
        let answer: Value =
            serde_json::from_str(&answers.next().expect("one").expect("UTF-8")).expect("JSON");
        assert_eq!(answer["files"], json!([format!("p-{line}.png")]));
    }
    drop(input);
    assert!(child.wait().expect("the program ends").success());
    let missing = croquis(&["batch", "missing.jsonl"]);
    assert_eq!(missing.complaint(1, &["missing.jsonl cannot be opened"]), None);
}
