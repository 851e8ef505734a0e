//! The prompt syntax, against the webui's own code (`golden/prompts/webui.json`), and fuzzing: any text
//! is a valid prompt.

use croquis::ErrorKind;
use croquis::internal::prompt::{PromptPart, find_tag, parse, schedule, split_and};
use croquis::internal::random::Generator;
use croquis::{LoraTag, split_lora_tags};
use serde::Deserialize;
use std::time::{Duration, Instant};

/// How the webui reads prompts.
#[derive(Deserialize)]
struct Golden {
    schedules: Vec<Scheduled>,
    compositions: Vec<Composed>,
}

/// A prompt whose text changes; the texts up to and including a step.
#[derive(Deserialize)]
struct Scheduled {
    prompt: String,
    steps: usize,
    texts: Vec<(usize, String)>,
}

/// Prompts joined by `AND`, with their weights.
#[derive(Deserialize)]
struct Composed {
    prompt: String,
    parts: Vec<(String, f32)>,
}

fn golden() -> Golden {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/prompts/webui.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// The text of each step.
fn texts(texts: &[(usize, String)], steps: usize) -> Vec<&str> {
    let text = |step: usize| texts.iter().find(|(end, _)| step <= *end).map_or("", |(_, t)| t);
    (1..=steps).map(text).collect()
}

/// The schedules that differ from the expected ones.
fn wrong_schedules(cases: &[Scheduled]) -> Vec<String> {
    let mut wrong = Vec::new();
    for Scheduled { prompt, steps, texts: want } in cases {
        let got = schedule(prompt, *steps).unwrap().texts;
        if texts(&got, *steps) != texts(want, *steps) || got.last().unwrap().0 != *steps {
            wrong.push(format!("{prompt:?}, {steps} steps: expected {want:?}, got {got:?}"));
        }
    }
    wrong
}

#[test]
fn schedules_equal_the_webuis() {
    let golden = golden().schedules;
    assert!(golden.len() > 500);
    let wrong = wrong_schedules(&golden);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), golden.len(), wrong.join("\n"));
}

#[test]
fn the_comparison_of_schedules_can_fail() {
    let case = |texts: &[(usize, &str)]| Scheduled {
        prompt: "a [b:c:2]".into(),
        steps: 3,
        texts: texts.iter().map(|(end, text)| (*end, text.to_string())).collect(),
    };
    assert!(wrong_schedules(&[case(&[(2, "a b"), (3, "a c")])]).is_empty());
    assert_eq!(wrong_schedules(&[case(&[(1, "a b"), (3, "a c")])]).len(), 1);
    assert_eq!(wrong_schedules(&[case(&[(3, "a b")])]).len(), 1);
}

#[test]
fn compositions_equal_the_webuis() {
    for Composed { prompt, parts: want } in golden().compositions {
        let got = split_and(&prompt);
        // The webui takes spaces and a weight from the end of a single prompt too.
        if let ([(text, weight)], false) = (got.as_slice(), prompt.contains("AND")) {
            assert_eq!((*text, *weight), (prompt.as_str(), 1.0));
            continue;
        }
        let got: Vec<_> =
            got.into_iter().map(|(text, weight)| (text.to_string(), weight)).collect();
        assert_eq!(got, want, "{prompt:?}");
    }
    assert_eq!(split_and("a: 0.5"), [("a: 0.5", 1.0)]);
}

#[test]
fn what_is_read_as_text_is_noted() {
    for (prompt, notes) in [
        ("a [b] (c:1.2) [d:e:0.5] [f|g]", 0),
        ("time: 10:30, (a:b) :) [", 0),
        ("a | b", 0),
        ("a [b:c]", 1),
        ("[(a:b:1.2):c:0.5]", 1),
        ("[a:b:c] [d:e]", 1),
        ("a | [b|c]", 1),
        ("[a:b:0.5] \\", 1),
        ("[a|b:3]", 1),
    ] {
        let schedule = schedule(prompt, 10).unwrap();
        assert_eq!(schedule.notes.len(), notes, "{prompt:?}: {:?}", schedule.notes);
    }
}

#[test]
fn tags_leave_the_prompt() {
    let tag =
        |name: &str, text_encoder, denoiser| LoraTag { name: name.into(), text_encoder, denoiser };
    for (prompt, want, tags) in [
        ("a cat", "a cat", vec![]),
        ("a <lora:b:0.5> c", "a  c", vec![tag("b", 0.5, 0.5)]),
        ("<lora:b><lyco:c d:-1>", "", vec![tag("b", 1.0, 1.0), tag("c d", -1.0, -1.0)]),
        ("<lora:b:0.5:2>", "", vec![tag("b", 0.5, 2.0)]),
        ("<lora:b:te=0.5:unet=2>", "", vec![tag("b", 0.5, 2.0)]),
        ("<lora:b:unet=2>", "", vec![tag("b", 1.0, 2.0)]),
        ("<lora:b:2:unet=3>é", "é", vec![tag("b", 2.0, 3.0)]),
        // What is no tag for a LoRA stays.
        ("<lora:> <:a> <lora> <cat-toy> <x:y> <", "<lora:> <:a> <lora> <cat-toy> <x:y> <", vec![]),
        ("<<lora:b>", "<", vec![tag("b", 1.0, 1.0)]),
        ("a < b <hypernet:c:1> <lora:b", "a < b <hypernet:c:1> <lora:b", vec![]),
    ] {
        assert_eq!(split_lora_tags(prompt).unwrap(), (want.to_string(), tags), "{prompt:?}");
    }
    for (prompt, want) in [
        ("<lora:b:x>", "<lora:b:x>: expected a number, got \"x\""),
        ("<lora:b:inf>", "expected a number, got \"inf\""),
        ("<lora: :1>", "expected the name of a file, got \"\""),
        ("<lora:b:1:2:3>", "expected at most two weights, got \"3\""),
        ("<lora:b:dyn=1>", "expected te= or unet=, got \"dyn=1\""),
    ] {
        let error = split_lora_tags(prompt).expect_err(prompt);
        assert_eq!(error.kind(), ErrorKind::Argument);
        assert!(error.to_string().contains(want), "{error}");
    }
    assert_eq!(find_tag("a <x:y> <b> <hypernet:c:1> <lora:d>"), Some("<hypernet:c:1>"));
    assert_eq!(find_tag("a <x:y> <lora:> <lora"), None);
}

/// The texts of a prompt with their weights; `BREAK` for a break.
fn parts(prompt: &str) -> Vec<(String, f64)> {
    let part = |part| match part {
        PromptPart::Text { text, weight } => (text, weight),
        PromptPart::Break => ("BREAK".to_string(), -1.0),
    };
    parse(prompt).unwrap().into_iter().map(part).collect()
}

/// The prompts whose parts differ from the expected ones.
fn differences(cases: &[(&str, &[(&str, f64)])]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (prompt, want) in cases {
        let got = parts(prompt);
        let same = |(got, want): (&(String, f64), &(&str, f64))| {
            got.0 == want.0 && (got.1 - want.1).abs() < 1e-12
        };
        if got.len() != want.len() || !got.iter().zip(*want).all(same) {
            wrong.push(format!("{prompt:?}: expected {want:?}, got {got:?}"));
        }
    }
    wrong
}

#[test]
fn prompts_read_as_in_the_webui() {
    let wrong = differences(&[
        ("", &[("", 1.0)]),
        ("normal text", &[("normal text", 1.0)]),
        ("an (important) word", &[("an ", 1.0), ("important", 1.1), (" word", 1.0)]),
        ("((very)) [less]", &[("very", 1.1 * 1.1), (" ", 1.0), ("less", 1.0 / 1.1)]),
        ("(a:1.5)(b:-.5)(c:+2.)", &[("a", 1.5), ("b", -0.5), ("c", 2.0)]),
        ("(unnecessary)(parens)", &[("unnecessaryparens", 1.1)]),
        (r"\(literal\] \[a\) \\", &[(r"(literal] [a) \", 1.0)]),
        (r"a\b \", &[("ab ", 1.0)]),
        // Brackets that are not balanced.
        ("(open", &[("open", 1.1)]),
        ("a [open (twice", &[("a ", 1.0), ("open ", 1.0 / 1.1), ("twice", 1.0)]),
        ("closed) twice]", &[("closed) twice]", 1.0)]),
        ("(a]", &[("a]", 1.1)]),
        ("a:1.2)", &[("a:1.2)", 1.0)]),
        ("(a: 1.2)", &[("a", 1.2)]),
        ("(a:1.2 ) b", &[("a", 1.2), (" b", 1.0)]),
        ("(a: )", &[("a: ", 1.1)]),
        // Brackets with a colon that is not followed by a weight.
        ("(a:b)", &[("a:b", 1.1)]),
        ("(a:1.2.3)", &[("a:1.2.3", 1.1)]),
        ("(a:1e3)", &[("a:1e3", 1.1)]),
        ("(a:)", &[("a:", 1.1)]),
        ("[a:1.2]", &[("a:1.2", 1.0 / 1.1)]),
        ("time: 10:30", &[("time: 10:30", 1.0)]),
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
            &[
                ("a ", 1.0),
                ("house", 1.3 * 1.1 * 1.1),
                (" ", 1.1),
                ("on", 1.0),
                (" a ", 1.1),
                ("hill", 0.55),
                (", sun, ", 1.1),
                ("sky", 1.1 * 1.1 * 1.1 * 1.1),
                (".", 1.1),
            ],
        ),
        // Breaks.
        ("a BREAK b", &[("a", 1.0), ("BREAK", -1.0), ("b", 1.0)]),
        ("BREAK", &[("", 1.0), ("BREAK", -1.0), ("", 1.0)]),
        (
            " a\nBREAK\nBREAK b ",
            &[(" a", 1.0), ("BREAK", -1.0), ("", 1.0), ("BREAK", -1.0), ("b ", 1.0)],
        ),
        ("BREAKFAST, xBREAK, _BREAK, break", &[("BREAKFAST, xBREAK, _BREAK, break", 1.0)]),
        ("(a BREAK b:2)", &[("a", 2.0), ("BREAK", -1.0), ("b", 2.0)]),
    ]);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_comparison_can_fail() {
    assert_eq!(differences(&[("(a)", &[("a", 1.2)])]).len(), 1);
    assert_eq!(differences(&[("(a)", &[("b", 1.1)])]).len(), 1);
    assert_eq!(differences(&[("(a)", &[])]).len(), 1);
}

#[test]
fn any_text_is_a_prompt() {
    let pieces = [
        "(",
        ")",
        "[",
        "]",
        ":",
        "\\",
        "(",
        ")",
        ":1.2)",
        ":-3)",
        ":9999999999)",
        ":.)",
        ":..1)",
        "BREAK",
        " ",
        "\n",
        "a",
        "é",
        "e\u{301}",
        "👩\u{200d}🚀",
        "\0",
        "１",
        "|",
        "AND",
        ":0.5]",
        ":3]",
        "<lora:a>",
        "٣",
        "0",
        "word",
    ];
    let mut random = Generator::new(7);
    for _ in 0..20_000 {
        let drawn = random.normal(24);
        let pick = |value: &f32| pieces[(value.abs() * 1e4) as usize % pieces.len()];
        let prompt: String = drawn.iter().map(pick).collect();
        let got = parse(&prompt).unwrap();
        assert!(!got.is_empty(), "{prompt:?}");
        let schedule = schedule(&prompt, 7).unwrap();
        assert_eq!(schedule.texts.last().unwrap().0, 7);
        let longest = schedule.texts.iter().map(|(_, text)| text.len()).max().unwrap();
        assert!(longest <= prompt.len(), "{prompt:?}");
        let length: usize = got
            .iter()
            .map(|part| match part {
                PromptPart::Text { text, weight } if weight.is_finite() => text.len(),
                PromptPart::Text { weight, .. } => panic!("{prompt:?}: weight {weight}"),
                PromptPart::Break => 0,
            })
            .sum();
        assert!(length <= prompt.len(), "{prompt:?}");
    }
    let factors = "(".repeat(100) + "a" + &":9999999999)".repeat(100);
    assert_eq!(parts(&factors), [("a".to_string(), f64::MAX)]);
}

#[test]
fn reading_takes_linear_time() {
    // Each part of these is multiplied by every bracket around it, or looked at by every colon.
    for (open, piece, close) in [
        ("(", ":a", ")"),
        ("[", ":a", "]"),
        ("(", "\\", ":1.5)"),
        ("(", ":1", ":1.5)"),
        ("(", ": ", ""),
        ("", "(a)", ""),
        ("", "BREAK ", ""),
        ("", "AND ", ""),
        ("", "<a:", ""),
        ("", "<lora:b>", ""),
        ("[", "[a|b]", ":0.5]"),
        ("[", "a|", "]"),
        ("(", "(a])", ")"),
    ] {
        let [few, many] = [1, 16].map(|times| {
            let inside = piece.repeat(3900 * times / piece.len());
            let prompt = open.repeat(90) + &inside + &close.repeat(90);
            let started = Instant::now();
            assert!(!parse(&prompt).unwrap().is_empty());
            assert!(!schedule(&prompt, 10).unwrap().texts.is_empty());
            assert!(!split_and(&prompt).is_empty() && split_lora_tags(&prompt).is_ok());
            started.elapsed()
        });
        // Quadratic time would be 256 times as much; the 50 ms are for the machine's other work.
        assert!(many < few * 100 + Duration::from_millis(50), "{piece:?}: {few:?}, {many:?}");
    }
}

#[test]
fn what_is_no_prompt_is_refused() {
    let refused = |prompt: &str| {
        let error = parse(prompt).expect_err("an error");
        assert_eq!(error.kind(), ErrorKind::Argument);
        error.to_string()
    };
    assert!(parse(&"é".repeat(65_536)).is_ok());
    let long = refused(&"(a".repeat(100_000));
    assert_eq!(long, "prompt: expected at most 65536 characters, got 200000");
    for open in ["(", "[", "(["] {
        assert!(parse(&open.repeat(100 / open.len())).is_ok());
        let deep = refused(&open.repeat(102 / open.len()));
        assert!(deep.contains("at most 100 brackets"), "{deep}");
    }
    // One after the other, there may be any number.
    assert!(parse(&"(a)".repeat(1000)).is_ok());
}
