//! Schedules and compositions against those of the webui's own code (`golden/prompts/webui.json`).

use croquis::internal::prompt::{schedule, split_and};
use serde::Deserialize;

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
