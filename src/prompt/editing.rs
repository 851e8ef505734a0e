//! Prompt editing: a text that changes over the steps.
//!
//! | Written | Means |
//! | --- | --- |
//! | `[a:b:0.5]` | `a` up to half of the steps, then `b`; with a whole number, so many steps of `a` |
//! | `[b:0.5]` | `b` after half of the steps |
//! | `[a::0.5]` | `a` up to half of the steps |
//! | `[a\|b\|c]` | another one in every step, in turns |
//!
//! The parts may contain these constructs and brackets with weights. The results are those of
//! `get_learned_conditioning_prompt_schedules` (webui's `modules/prompt_parser.py`, from version 1.6
//! on): a number with a point is a fraction of the steps, and a prompt with a `|` outside of such
//! brackets, or with a backslash at its end, is not edited at all.

use super::limits::{MAX_BRACKETS, check_length, too_many_brackets};
use crate::error::Result;

/// A text over the steps of a sampler.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Texts, each with the last step in which it is used, counted from 1. At least one; the last
    /// one's is the number of steps.
    pub texts: Vec<(usize, String)>,
    /// What looks like a construct but is read as text.
    pub notes: Vec<String>,
}

/// Reads the prompt editing of a prompt for a number of steps.
///
/// # Errors
/// `Argument` for a prompt of more than [`MAX_CHARACTERS`](super::limits::MAX_CHARACTERS), or with more than
/// 100 brackets open at one place.
pub fn schedule(prompt: &str, steps: usize) -> Result<Schedule> {
    let steps = steps.max(1);
    check_length(prompt)?;
    let mut reader = Reader::default();
    let mut characters = prompt.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped) if escaped != '\n' => reader.escaped(escaped),
                _ => reader.unreadable = true,
            },
            '(' | '[' => reader.open(character)?,
            ':' | '|' => reader.separate(character),
            ')' | ']' => reader.close(character),
            _ => reader.text(character),
        }
    }
    reader.give_up();
    let Reader { nodes, unreadable, looks_edited, .. } = reader;
    if unreadable {
        let edited = looks_edited || nodes.iter().any(|node| !matches!(node, Node::Text(_)));
        let note = "prompt: square brackets are read as weights, since there is a | outside of them, \
                    or a backslash at the end";
        let notes = if edited { vec![note.into()] } else { Vec::new() };
        return Ok(Schedule { texts: vec![(steps, prompt.into())], notes });
    }
    let mut ends = vec![steps];
    nodes.iter().for_each(|node| node.ends(steps, &mut ends));
    ends.sort_unstable();
    ends.dedup();
    let mut texts: Vec<(usize, String)> = Vec::new();
    for end in ends {
        let mut text = String::new();
        nodes.iter().for_each(|node| node.write(end, steps, &mut text));
        match texts.last_mut() {
            Some(last) if last.1 == text => last.0 = end,
            _ => texts.push((end, text)),
        }
    }
    let note = "prompt: square brackets with a colon are read as weights, since they are neither \
                [a:b:0.5] nor [a:0.5]";
    Ok(Schedule { texts, notes: if looks_edited { vec![note.into()] } else { Vec::new() } })
}

/// A part of a prompt.
enum Node {
    Text(String),
    Edit { before: Vec<Node>, after: Vec<Node>, at: Place },
    Alternate(Vec<Vec<Node>>),
}

/// The place of a change among the steps.
#[derive(Clone, Copy)]
enum Place {
    Fraction(f64),
    Step(f64),
}

impl Place {
    /// Parses a number: a fraction if there is a point in it.
    fn parse(text: &str) -> Option<Place> {
        let number = text.trim();
        let known = number.chars().all(|c| c.is_ascii_digit() || ".+-eE".contains(c));
        let value = number.parse().ok().filter(|_| known)?;
        Some(if number.contains('.') { Place::Fraction(value) } else { Place::Step(value) })
    }

    /// The last step before the change; 0 or less if it is before the first.
    fn step(self, steps: usize) -> usize {
        let step = match self {
            Place::Fraction(fraction) => fraction * steps as f64,
            Place::Step(step) => step,
        };
        (step as usize).min(steps) // rounds towards zero
    }
}

impl Node {
    /// Adds the steps after which the text may change.
    fn ends(&self, steps: usize, ends: &mut Vec<usize>) {
        match self {
            Node::Text(_) => {}
            Node::Edit { before, after, at } => {
                ends.extend(Some(at.step(steps)).filter(|step| *step > 0));
                before.iter().chain(after).for_each(|node| node.ends(steps, ends));
            }
            Node::Alternate(options) => {
                ends.extend(1..=steps);
                options.iter().flatten().for_each(|node| node.ends(steps, ends));
            }
        }
    }

    /// Appends the text of a step, counted from 1.
    fn write(&self, step: usize, steps: usize, text: &mut String) {
        let chosen = match self {
            Node::Text(own) => return text.push_str(own),
            Node::Edit { before, after, at } => {
                if step <= at.step(steps) {
                    before
                } else {
                    after
                }
            }
            Node::Alternate(options) => &options[(step - 1) % options.len()],
        };
        chosen.iter().for_each(|node| node.write(step, steps, text));
    }
}

/// An open bracket: what was read since, divided by colons and bars.
struct Frame {
    bracket: char,
    parts: Vec<Vec<Node>>,
    /// One fewer than parts.
    separators: Vec<char>,
}

#[derive(Default)]
struct Reader {
    /// What is outside of all brackets.
    nodes: Vec<Node>,
    frames: Vec<Frame>,
    /// Whether the prompt cannot be read with constructs.
    unreadable: bool,
    /// Square brackets outside of constructs that are open, and whether a separator followed.
    loose: usize,
    divided: bool,
    /// Whether there were such brackets with a separator.
    looks_edited: bool,
}

impl Reader {
    fn text(&mut self, character: char) {
        let parts = self.frames.last_mut().and_then(|frame| frame.parts.last_mut());
        append(parts.unwrap_or(&mut self.nodes), character);
    }

    fn escaped(&mut self, character: char) {
        self.text('\\');
        self.text(character);
    }

    fn open(&mut self, bracket: char) -> Result<()> {
        if self.frames.len() == MAX_BRACKETS {
            return Err(too_many_brackets());
        }
        self.frames.push(Frame { bracket, parts: vec![Vec::new()], separators: Vec::new() });
        Ok(())
    }

    fn separate(&mut self, separator: char) {
        match self.frames.last_mut() {
            Some(frame) => {
                frame.separators.push(separator);
                frame.parts.push(Vec::new());
            }
            None => self.loose(separator),
        }
    }

    /// Ends the innermost bracket; if that makes no construct, all open ones are text, since
    /// constructs contain whole constructs only.
    fn close(&mut self, bracket: char) {
        let nodes = self.frames.pop_if(|frame| frame.closes(bracket)).map(Frame::nodes);
        if let Some(nodes) = nodes {
            let parts = self.frames.last_mut().and_then(|frame| frame.parts.last_mut());
            parts.unwrap_or(&mut self.nodes).extend(nodes);
            return;
        }
        self.give_up();
        self.loose(bracket);
    }

    /// Reads all open brackets as text.
    fn give_up(&mut self) {
        for frame in std::mem::take(&mut self.frames) {
            self.loose(frame.bracket);
            let mut separators = frame.separators.into_iter();
            for part in frame.parts {
                self.nodes.extend(part);
                separators.next().into_iter().for_each(|separator| self.loose(separator));
            }
        }
    }

    /// Adds a bracket or separator that is no part of a construct.
    fn loose(&mut self, character: char) {
        append(&mut self.nodes, character);
        self.unreadable |= character == '|';
        match character {
            '[' => self.loose += 1,
            ']' if self.loose > 0 => {
                self.loose -= 1;
                self.looks_edited |= std::mem::take(&mut self.divided);
            }
            ':' | '|' => self.divided |= self.loose > 0,
            _ => {}
        }
    }
}

impl Frame {
    /// Whether a bracket ends this one and makes a construct of it: a weight, an edit or an
    /// alternation.
    fn closes(&self, bracket: char) -> bool {
        let number = match self.parts.last().map(Vec::as_slice) {
            Some([Node::Text(text)]) => Place::parse(text).is_some(),
            _ => false,
        };
        match (self.bracket, bracket, self.separators.as_slice()) {
            ('(', ')', [] | [':']) | ('[', ']', []) => true,
            ('[', ']', [':'] | [':', ':']) => number,
            ('[', ']', separators) => separators.iter().all(|separator| *separator == '|'),
            _ => false,
        }
    }

    /// The construct of a frame that was closed.
    fn nodes(mut self) -> Vec<Node> {
        let place = match self.parts.last().map(Vec::as_slice) {
            Some([Node::Text(text)]) => Place::parse(text),
            _ => None,
        };
        match (self.bracket, self.separators.first(), place) {
            ('[', Some(':'), Some(at)) => {
                self.parts.pop();
                let after = self.parts.pop().unwrap_or_default();
                let before = self.parts.pop().unwrap_or_default();
                vec![Node::Edit { before, after, at }]
            }
            ('[', Some('|'), _) => vec![Node::Alternate(self.parts)],
            (bracket, separator, _) => {
                let mut nodes = vec![Node::Text(bracket.into())];
                for (index, part) in self.parts.into_iter().enumerate() {
                    separator
                        .filter(|_| index > 0)
                        .into_iter()
                        .for_each(|c| append(&mut nodes, *c));
                    nodes.extend(part);
                }
                append(&mut nodes, if bracket == '(' { ')' } else { ']' });
                nodes
            }
        }
    }
}

/// Appends a character to the text at the end of a list.
fn append(nodes: &mut Vec<Node>, character: char) {
    match nodes.last_mut() {
        Some(Node::Text(text)) => text.push(character),
        _ => nodes.push(Node::Text(character.into())),
    }
}
