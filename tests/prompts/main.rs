//! The prompt syntax.

mod limits;
mod webui;

use croquis::internal::prompt::{PromptPart, find_tag, parse, schedule};
use croquis::{ErrorKind, LoraTag, split_lora_tags};

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
