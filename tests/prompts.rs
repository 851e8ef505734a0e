//! The prompt syntax, and fuzzing: any text is a valid prompt.

use croquis::internal::prompt::{PromptPart, parse};
use croquis::internal::random::Generator;

/// The texts of a prompt with their weights; `BREAK` for a break.
fn parts(prompt: &str) -> Vec<(String, f64)> {
    let part = |part| match part {
        PromptPart::Text { text, weight } => (text, weight),
        PromptPart::Break => ("BREAK".to_string(), -1.0),
    };
    parse(prompt).into_iter().map(part).collect()
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
        "٣",
        "0",
        "word",
    ];
    let mut random = Generator::new(7);
    for _ in 0..20_000 {
        let drawn = random.normal(24);
        let pick = |value: &f32| pieces[(value.abs() * 1e4) as usize % pieces.len()];
        let prompt: String = drawn.iter().map(pick).collect();
        let got = parse(&prompt);
        assert!(!got.is_empty(), "{prompt:?}");
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
    let factors = "(".repeat(300) + "a" + &":9999999999)".repeat(300);
    assert_eq!(parts(&factors), [("a".to_string(), f64::MAX)]);
}
