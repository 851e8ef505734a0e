//! The prompts of a request as they are read: the texts to encode, and those of every evaluation of
//! the network.

use super::request::Request;
use crate::error::{Error, ErrorKind, Result};
use crate::prompt::{Schedule, find_tag, schedule, split_and};

/// The most prompts that `AND` may join: each is an evaluation of the network in every step.
const MAX_PROMPTS: usize = 16;

/// The most different texts of a request: those of prompts that change in every step.
const MAX_TEXTS: usize = 256;

/// The prompts of a request, read.
pub(super) struct Prompts {
    /// All different texts, negative ones first, each for a first and for a second text encoder.
    pub texts: Vec<[String; 2]>,
    /// The number of negative texts; 0 without guidance.
    pub negatives: usize,
    /// For each evaluation of the network, the texts of its batch by index, the negative one first.
    pub batches: Vec<Vec<usize>>,
    /// The weights of several prompts that are composed; empty for one.
    pub weights: Vec<f32>,
    /// What is read as text although it looks like something else.
    pub notes: Vec<String>,
}

impl Prompts {
    /// Reads the prompts of a request for a number of evaluations. Several prompts need the negative
    /// one whatever the guidance scale is.
    ///
    /// # Errors
    /// `Argument` for prompts that cannot be read.
    pub(super) fn read(request: &Request, guided: bool, evaluations: usize) -> Result<Prompts> {
        let mut reader = Reader { plain: request.plain_prompts, evaluations, notes: Vec::new() };
        let parts = match request.plain_prompts {
            true => vec![(request.prompt.as_str(), 1.0)],
            false => split_and(&request.prompt),
        };
        if parts.len() > MAX_PROMPTS {
            let got = parts.len();
            let message =
                format!("prompt: expected at most {MAX_PROMPTS} joined by AND, got {got}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let composed = parts.len() > 1;
        let (mut texts, mut columns) = (Vec::new(), Vec::new());
        if guided || composed {
            let second = request.negative_prompt_2.as_ref().unwrap_or(&request.negative_prompt);
            reader.note_and(&request.negative_prompt);
            reader.note_and(second);
            let negative = reader.timeline(&request.negative_prompt, second)?;
            columns.push(negative.number(evaluations, &mut texts, 0)?);
        }
        let negatives = texts.len();
        request.prompt_2.iter().for_each(|second| reader.note_and(second));
        for (text, _) in &parts {
            let second = request.prompt_2.as_deref().unwrap_or(text);
            let timeline = reader.timeline(text, second)?;
            columns.push(timeline.number(evaluations, &mut texts, negatives)?);
        }
        let batch = |index: usize| columns.iter().map(|column| column[index]).collect();
        let batches = (0..evaluations).map(batch).collect();
        let weights = parts.iter().map(|(_, weight)| *weight).filter(|_| composed).collect();
        Ok(Prompts { texts, negatives, batches, weights, notes: reader.notes })
    }
}

struct Reader {
    plain: bool,
    evaluations: usize,
    notes: Vec<String>,
}

impl Reader {
    /// Adds a note, once.
    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Notes that the word `AND` of a text has no meaning.
    fn note_and(&mut self, text: &str) {
        if !self.plain && split_and(text).len() > 1 {
            self.note("prompt: AND is read as a word, but for the first prompt".into());
        }
    }

    /// The texts of a prompt for a first and for a second text encoder.
    fn timeline(&mut self, first: &str, second: &str) -> Result<Timeline> {
        let same = first == second;
        let first = self.texts(first)?;
        let second = if same { first.clone() } else { self.texts(second)? };
        Ok(Timeline([first, second]))
    }

    fn texts(&mut self, text: &str) -> Result<Vec<(usize, String)>> {
        if self.plain {
            return Ok(vec![(self.evaluations, text.into())]);
        }
        if let Some(tag) = find_tag(text) {
            self.note(format!("prompt: {tag} is read as text"));
        }
        let Schedule { texts, notes } = schedule(text, self.evaluations)?;
        notes.into_iter().for_each(|note| self.note(note));
        Ok(texts)
    }
}

/// The texts of a prompt for both text encoders, each with the last evaluation in which it is used.
struct Timeline([Vec<(usize, String)>; 2]);

impl Timeline {
    /// The indices of the texts of all evaluations among `texts` from `first` on, to which new ones are
    /// added.
    ///
    /// # Errors
    /// `Argument` for too many.
    fn number(
        &self,
        evaluations: usize,
        texts: &mut Vec<[String; 2]>,
        first: usize,
    ) -> Result<Vec<usize>> {
        let mut column = Vec::new();
        for evaluation in 0..evaluations {
            let pair = self.0.each_ref().map(|texts| at(texts, evaluation));
            let known = texts[first..].iter().position(|known| *known == pair);
            if known.is_none() {
                texts.push(pair.map(String::from));
            }
            column.push(known.map_or(texts.len() - 1, |index| first + index));
        }
        if texts.len() > MAX_TEXTS {
            let got = texts.len();
            let message = format!(
                "prompt: expected at most {MAX_TEXTS} different texts over the steps, got {got}"
            );
            return Err(Error::new(ErrorKind::Argument, message));
        }
        Ok(column)
    }
}

/// The text of an evaluation, counted from 0. The webui compares this count with that of the last
/// step, which it counts from 1 (`reconstruct_cond_batch` in its `modules/prompt_parser.py`), so that
/// the first text stays for one evaluation more.
fn at(texts: &[(usize, String)], evaluation: usize) -> &str {
    let text = texts.iter().find(|(end, _)| evaluation <= *end);
    text.map_or("", |(_, text)| text.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first texts by evaluation, joined by a bar, and the notes.
    fn read(request: &Request, guided: bool) -> (Vec<String>, usize) {
        let prompts = Prompts::read(request, guided, 4).unwrap();
        let batch = |batch: &Vec<usize>| {
            batch.iter().map(|index| prompts.texts[*index].join("/")).collect::<Vec<_>>().join("|")
        };
        (prompts.batches.iter().map(batch).collect(), prompts.notes.len())
    }

    fn request(prompt: &str, negative: &str) -> Request {
        Request { negative_prompt: negative.into(), ..Request::new(prompt) }
    }

    #[test]
    fn batches_have_the_texts_of_their_evaluation() {
        for (prompt, negative, guided, want) in [
            ("a", "n", true, ["n/n|a/a"; 4]),
            ("a", "n", false, ["a/a"; 4]),
            // The first text stays for one evaluation more.
            ("[a:b:1]", "", true, ["/|a/a", "/|a/a", "/|b/b", "/|b/b"]),
            ("[a|b]", "", false, ["a/a", "a/a", "b/b", "a/a"]),
            ("a", "[n:m:0.5]", true, ["n/n|a/a", "n/n|a/a", "n/n|a/a", "m/m|a/a"]),
            ("a AND a", "n", false, ["n/n|a/a| a/ a"; 4]),
            (
                "[a:b:1] AND c",
                "n",
                true,
                ["n/n|a/a| c/ c", "n/n|a/a| c/ c", "n/n|b/b| c/ c", "n/n|b/b| c/ c"],
            ),
        ] {
            assert_eq!(read(&request(prompt, negative), guided).0, want, "{prompt:?}");
        }
        let prompt_2 = Some("[x|y]".to_string());
        let both = Request { prompt_2, negative_prompt_2: Some("m".into()), ..request("a", "n") };
        assert_eq!(read(&both, true).0, ["n/m|a/x", "n/m|a/x", "n/m|a/y", "n/m|a/x"]);
    }

    #[test]
    fn equal_texts_are_encoded_once() {
        let prompts = Prompts::read(&request("[a|b] AND c :0.5 AND a", "a"), true, 4).unwrap();
        assert_eq!((prompts.texts.len(), prompts.negatives), (5, 1));
        assert_eq!(prompts.weights, [1.0, 0.5, 1.0]);
        assert!(Prompts::read(&request("a", "a"), true, 4).unwrap().weights.is_empty());
    }

    #[test]
    fn text_is_noted() {
        for (prompt, negative, notes) in [
            ("a [b] AND (c:2)", "d", 0),
            ("a", "b AND c", 1),
            ("a <lora:b:1>", "<lora:c>", 2),
            ("[a:b]", "[c:d]", 1),
        ] {
            assert_eq!(read(&request(prompt, negative), true).1, notes, "{prompt:?}");
        }
        let plain = Request { plain_prompts: true, ..request("[a:b] AND <lora:c>", "AND") };
        assert_eq!(read(&plain, true).1, 0);
    }

    #[test]
    fn too_much_is_refused() {
        let refused = |prompt: &str, evaluations: usize| {
            Prompts::read(&request(prompt, ""), true, evaluations).err().map(|e| e.to_string())
        };
        assert_eq!(refused(&["a"; 16].join(" AND "), 2), None);
        let many = refused(&["a"; 17].join(" AND "), 2).unwrap();
        assert!(many.contains("at most 16 joined by AND, got 17"), "{many}");
        let numbers = (0..300).map(|n| n.to_string()).collect::<Vec<_>>().join("|");
        assert_eq!(refused(&format!("[{numbers}]"), 200), None);
        let texts = refused(&format!("[{numbers}]"), 300).unwrap();
        assert!(texts.contains("at most 256 different texts over the steps, got 300"), "{texts}");
    }
}
