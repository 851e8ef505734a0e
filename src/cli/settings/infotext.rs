//! The settings text of AUTOMATIC1111's web UI ("infotext"), which croquis and stable-diffusion.cpp write too: the
//! prompt, the negative prompt after `Negative prompt:`, and a line of `Key: value` pairs with commas between them.

/// A settings text in its parts.
#[derive(Debug, PartialEq)]
pub struct Infotext {
    pub prompt: String,
    pub negative_prompt: String,
    /// Keys and values, values without quotes.
    pub settings: Vec<(String, String)>,
    /// Lines after the settings, which extensions add.
    pub rest: Vec<String>,
}

impl Infotext {
    /// Reads a text; `None` if it has no line of settings.
    pub fn read(text: &str) -> Option<Infotext> {
        let lines: Vec<&str> = text.trim_end().lines().collect();
        // A prompt may have lines like settings, and other lines may follow them.
        let begins =
            |line: &&str| line.trim_start().starts_with("Steps: ") && pairs(line).len() > 1;
        let at = lines.iter().rposition(begins);
        let at =
            at.or_else(|| lines.len().checked_sub(1).filter(|last| pairs(lines[*last]).len() > 2))?;
        let (mut prompt, mut negative) = (Vec::new(), None::<Vec<&str>>);
        for line in &lines[..at] {
            match (&mut negative, line.strip_prefix("Negative prompt:")) {
                (None, Some(first)) => {
                    negative = Some(vec![first.strip_prefix(' ').unwrap_or(first)])
                }
                (None, None) => prompt.push(*line),
                (Some(negative), _) => negative.push(line),
            }
        }
        Some(Infotext {
            prompt: prompt.join("\n"),
            negative_prompt: negative.unwrap_or_default().join("\n"),
            settings: pairs(lines[at]),
            rest: lines[at + 1..].iter().map(|line| line.to_string()).collect(),
        })
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }
}

/// The pairs of a line. Quoted values are JSON strings; a piece without a key belongs to the value before it.
fn pairs(line: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for piece in pieces(line) {
        let key = piece.split_once(':').filter(|(key, _)| is_key(key.trim()));
        match (key, pairs.last_mut()) {
            (Some((key, value)), _) => pairs.push((key.trim().into(), unquoted(value.trim()))),
            (None, Some((_, value))) if !piece.trim().is_empty() => {
                *value += ",";
                *value += piece;
            }
            (None, _) => {}
        }
    }
    pairs
}

/// The pieces between the commas outside of quotes.
fn pieces(line: &str) -> Vec<&str> {
    let (mut pieces, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, character) in line.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            // A quote in the middle of a value is a character like others.
            '"' if quoted || line[start..at].trim_end().ends_with(':') => quoted = !quoted,
            ',' if !quoted => {
                pieces.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&line[start..]);
    pieces
}

/// Whether a text can be a key: it begins with a letter, and has letters, digits, spaces, `_`, `-` and `/`.
fn is_key(text: &str) -> bool {
    let other = |c: char| c.is_alphanumeric() || " _-/".contains(c);
    text.starts_with(char::is_alphabetic) && text.chars().all(other)
}

fn unquoted(value: &str) -> String {
    match serde_json::from_str(value) {
        Ok(serde_json::Value::String(text)) => text,
        _ => value.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn prompts_of_several_lines_and_quoted_values() {
        let text = "a boat\nSteps: down to the water\nNegative prompt: fog,\nNegative prompt: rain\n\
                    Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x768, \
                    Lora hashes: \"a: 12ab, b\\\"c: 34cd\", Skip layers: [7, 8], Version: v1.10.1\nWildcard: none\n";
        let read = Infotext::read(text).expect("settings");
        assert_eq!(read.prompt, "a boat\nSteps: down to the water");
        assert_eq!(read.negative_prompt, "fog,\nNegative prompt: rain");
        let expected = settings(&[
            ("Steps", "20"),
            ("Sampler", "DPM++ 2M"),
            ("Schedule type", "Karras"),
            ("CFG scale", "7"),
            ("Seed", "1"),
            ("Size", "512x768"),
            ("Lora hashes", "a: 12ab, b\"c: 34cd"),
            ("Skip layers", "[7, 8]"),
            ("Version", "v1.10.1"),
        ]);
        assert_eq!(read.settings, expected);
        assert_eq!(read.rest, ["Wildcard: none"]);
        assert_eq!(read.get("Size"), Some("512x768"));
    }

    #[test]
    fn texts_without_prompts_and_without_settings() {
        let read = Infotext::read("\nSteps: 1, Seed: 2").expect("settings");
        assert_eq!((read.prompt.as_str(), read.negative_prompt.as_str()), ("", ""));
        assert!(Infotext::read("Seed: 1, Size: 8x8, Model: \"x").is_some());
        for text in
            ["", "a prompt", "a: b, c: d", "Steps: up", "{\"3\": {\"class_type\": \"KSampler\"}}"]
        {
            assert_eq!(Infotext::read(text), None, "{text}");
        }
    }
}
