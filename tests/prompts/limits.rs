//! Any text is a valid prompt, within limits, and is read in linear time.

use super::parts;
use croquis::internal::prompt::{PromptPart, parse, schedule, split_and};
use croquis::internal::random::Generator;
use croquis::{ErrorKind, split_lora_tags};
use std::time::{Duration, Instant};

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
