use super::*;
use crate::tokenizer::TokenizerFiles;

const WORDS: [(&str, usize); 3] = [("cat", 2), ("Cat-Toy", 3), ("<x>", 1)];

fn placeholders() -> Vec<Placeholder> {
    WORDS.map(|(name, rows)| Placeholder { name: name.to_lowercase(), rows }).into()
}

/// Each chunk as text: ids in decimal, `E.R` for row R of embedding E, weights after `*`.
fn read(tokenizer: &Tokenizer, prompt: &str) -> Vec<String> {
    read_with(tokenizer, prompt, 0)
}

fn read_with(tokenizer: &Tokenizer, prompt: &str, comma_backtrack: usize) -> Vec<String> {
    let options = TextOptions { comma_backtrack, ..TextOptions::default() };
    let chunks = chunks(prompt, options, tokenizer, &placeholders()).unwrap();
    let token = |(token, weight): (&Token, &f32)| {
        let token = match token {
            Token::Id(id) => id.to_string(),
            Token::Vector { embedding, row } => format!("{embedding}.{row}"),
        };
        if *weight == 1.0 { token } else { format!("{token}*{weight}") }
    };
    let line = |chunk: &Chunk| {
        let tokens = chunk.tokens.iter().zip(&chunk.weights).map(token);
        tokens.collect::<Vec<_>>().join(" ")
    };
    chunks.iter().map(line).collect()
}

#[test]
fn tokens_fill_chunks() {
    let tokenizer = Tokenizer::clip("!", 6).unwrap();
    let a = tokenizer.ids("a").unwrap()[0].to_string();
    let of = |count: usize| vec![a.as_str(); count].join(" ");
    let cases: [(&str, &[String]); 13] = [
        ("", &[of(0)]),
        ("a a a a", &[of(4)]),
        ("a a a a a", &[of(4), of(1)]),
        ("a a (a a:2) a", &[format!("{} {a}*2 {a}*2", of(2)), of(1)]),
        // Breaks, also where there is nothing before them or after them.
        ("a BREAK a", &[of(1), of(1)]),
        ("a a a a BREAK", &[of(4)]),
        ("BREAK a", &[of(0), of(1)]),
        ("BREAK BREAK", &[of(0), of(0)]),
        // The vectors of a word stay together.
        ("a CAT a", &[format!("{a} 0.0 0.1 {a}")]),
        ("a a a (cat)", &[of(3), "0.0*1.1 0.1*1.1".into()]),
        // The longest name wins, and names are whole words.
        ("cat-toy", &["1.0 1.1 1.2".into()]),
        ("a<X>a", &[format!("{a} 2.0 {a}")]),
        ("BREAKcat cats", &[read(&tokenizer, "BREAKcat cats").join("")]),
    ];
    for (prompt, want) in cases {
        assert_eq!(read(&tokenizer, prompt), want, "{prompt:?}");
    }
    assert!(!read(&tokenizer, "BREAKcat cats").join("").contains('.'));
}

#[test]
fn words_after_a_comma_stay_together() {
    let tokenizer = Tokenizer::clip("!", 8).unwrap();
    let [a, comma] = ["a", ","].map(|text| tokenizer.ids(text).unwrap()[0].to_string());
    // Letters are tokens, chunks have six.
    let line = |line: &str| {
        let token = |c| match c {
            ',' => comma.clone(),
            _ => a.clone(),
        };
        line.chars().map(token).collect::<Vec<_>>().join(" ")
    };
    for (prompt, backtrack, want) in [
        ("a a a, a a a", 3, vec!["aaa,", "aaa"]),
        ("a a a, a a a", 2, vec!["aaa,aa", "a"]),
        ("a a a, a a a", 0, vec!["aaa,aa", "a"]),
        // Enough room.
        ("a a a, a a", 3, vec!["aaa,aa"]),
        // The last comma of a chunk counts, also as its last token.
        ("a, a a, a a", 6, vec!["a,aa,", "aa"]),
        ("a a a a a, a", 6, vec!["aaaaa,", "a"]),
        // A comma does not move words; it begins the next chunk.
        ("a a a, a a, a", 3, vec!["aaa,aa", ",a"]),
        ("a a a a a a, a a a a a", 6, vec!["aaaaaa", ",aaaaa"]),
        ("a a a a a a, a a a a a a", 6, vec!["aaaaaa", ",aaaaa", "a"]),
        // After a break, the commas before it are forgotten.
        ("a, BREAK a a a a a a a", 6, vec!["a,", "aaaaaa", "a"]),
    ] {
        let want: Vec<_> = want.into_iter().map(line).collect();
        assert_eq!(read_with(&tokenizer, prompt, backtrack), want, "{prompt:?} {backtrack}");
    }
    let weighted = read_with(&tokenizer, "a a a, (a a:2) a", 3);
    assert_eq!(weighted, [line("aaa,"), format!("{a}*2 {a}*2 {a}")]);
}

/// The webui's own division: `golden/prompts/webui.json`.
#[test]
fn chunks_are_as_long_as_the_webuis() {
    let golden = |file: &str| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        std::fs::read(folder.join(file)).unwrap()
    };
    let [vocab, merges] =
        ["vocab.json", "merges.txt"].map(|name| golden(&format!("sd1-tiny/tokenizer/{name}")));
    let files = TokenizerFiles {
        vocab_json: Some(&vocab),
        merges_txt: Some(&merges),
        ..TokenizerFiles::default()
    };
    let tokenizer = Tokenizer::new(&files, 77).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&golden("prompts/webui.json")).unwrap();
    let cases = json["chunks"].as_array().unwrap();
    assert!(cases.len() > 100);
    let lengths = |case: &serde_json::Value, comma_backtrack: usize| {
        let options = TextOptions { comma_backtrack, ..TextOptions::default() };
        let chunks = chunks(case["prompt"].as_str().unwrap(), options, &tokenizer, &[]).unwrap();
        serde_json::json!(chunks.iter().map(|chunk| chunk.tokens.len()).collect::<Vec<_>>())
    };
    for case in cases {
        let backtrack = case["backtrack"].as_u64().unwrap() as usize;
        assert_eq!(lengths(case, backtrack), case["lengths"], "{case}");
    }
    // The comparison can fail.
    assert!(cases.iter().any(|case| lengths(case, 10) != case["lengths"]));
}

#[test]
fn brackets_are_words_in_plain_prompts() {
    let tokenizer = Tokenizer::clip("!", 77).unwrap();
    let prompt = "(a:2) BREAK \\[b]";
    let ids: Vec<_> = tokenizer.ids(prompt).unwrap().into_iter().map(Token::Id).collect();
    let plain =
        chunks(prompt, TextOptions { plain: true, ..TextOptions::default() }, &tokenizer, &[])
            .unwrap();
    assert_eq!(plain, [Chunk { weights: vec![1.0; ids.len()], tokens: ids }]);
}

#[test]
fn what_is_too_much_is_refused() {
    let tokenizer = Tokenizer::clip("!", 3).unwrap();
    let refused = |prompt: &str| {
        chunks(prompt, TextOptions::default(), &tokenizer, &[]).err().map(|e| e.to_string())
    };
    assert_eq!(refused(&"a ".repeat(MAX_CHUNKS)), None);
    let long = refused(&"a ".repeat(MAX_CHUNKS + 1)).unwrap();
    assert!(long.contains("at most 64 chunks of 1 tokens, got 65"), "{long}");
    let heavy = refused(&format!("(a:{})", "9".repeat(60))).unwrap();
    assert!(heavy.contains("expected a weight within f32"), "{heavy}");
}

#[test]
fn any_text_has_chunks() {
    let tokenizer = Tokenizer::clip("!", 7).unwrap();
    let pieces = [
        "cat",
        "CAT-TOY",
        "-toy",
        "<x>",
        "(",
        ":1.5)",
        "]",
        " ",
        "İ",
        "é",
        "👩\u{200d}🚀",
        "BREAK",
        "\\",
        ",",
        "a",
    ];
    // Marsaglia's xorshift64.
    let mut state = 3u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    for comma_backtrack in [0, 3].repeat(1000) {
        let prompt: String = (0..20).map(|_| pieces[random() % pieces.len()]).collect();
        let chunks = chunks(
            &prompt,
            TextOptions { comma_backtrack, ..TextOptions::default() },
            &tokenizer,
            &placeholders(),
        )
        .unwrap();
        let fits =
            |chunk: &Chunk| chunk.tokens.len() <= 5 && chunk.tokens.len() == chunk.weights.len();
        assert!(!chunks.is_empty() && chunks.iter().all(fits), "{prompt:?}");
    }
}
