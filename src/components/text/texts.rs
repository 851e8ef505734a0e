//! Tokenised texts, divided into chunks before any encoder runs.

use super::chunks::Chunk;
use super::options::TextOptions;
use std::ops::Range;

/// Tokenised texts of a request.
pub struct Texts {
    /// The number of texts.
    pub count: usize,
    /// Tokens of every text in one batch, padding included.
    pub tokens: usize,
    /// Notes for the user: which texts are longer than the encoder's context.
    pub notes: Vec<String>,
    /// By encoder and text.
    pub(super) chunks: Vec<Vec<Vec<Chunk>>>,
    /// Texts that are encoded together, and the number of last layers left out. The embeddings of
    /// the other texts are zeros.
    pub(super) groups: Vec<(Range<usize>, usize)>,
}

impl Texts {
    /// From the chunks of every text for every encoder. `chunk_length` are the tokens of a chunk
    /// with start, end and padding, `capacity` those without.
    pub(super) fn new(
        texts: &[[&str; 2]],
        chunks: Vec<Vec<Vec<Chunk>>>,
        options: TextOptions,
        zeros_for_empty: bool,
        [chunk_length, capacity]: [usize; 2],
    ) -> Texts {
        let count = chunks.iter().flatten().map(Vec::len).max().unwrap_or(1).max(1);
        let mut notes = Vec::new();
        for note in chunks.iter().flatten().filter_map(|text| note(text, capacity)) {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        let groups = groups(texts, options, zeros_for_empty);
        Texts { count: texts.len(), tokens: count * chunk_length, notes, chunks, groups }
    }
}

impl Texts {
    /// The different numbers of texts that are encoded together, each with the number of last layers
    /// left out.
    pub(super) fn shapes(&self) -> Vec<(usize, usize)> {
        let mut shapes: Vec<_> =
            self.groups.iter().map(|(rows, skip)| (rows.len(), *skip)).collect();
        shapes.sort_unstable_by_key(|(count, skip)| (*skip, *count));
        shapes.dedup();
        shapes
    }
}

/// Texts that are encoded together, two at most as in a plain request, and the number of last layers
/// left out.
fn groups(
    texts: &[[&str; 2]],
    options: TextOptions,
    zeros_for_empty: bool,
) -> Vec<(Range<usize>, usize)> {
    let zeros = zeros_for_empty && options.negatives == 1 && texts.first() == Some(&["", ""]);
    let mut groups: Vec<(Range<usize>, usize)> = Vec::new();
    for index in usize::from(zeros)..texts.len() {
        let skip = if index < options.negatives { 0 } else { options.skip };
        match groups.last_mut() {
            Some((rows, same)) if *same == skip && rows.len() < 2 => rows.end = index + 1,
            _ => groups.push((index..index + 1, skip)),
        }
    }
    groups
}

/// The note about a text that is longer than the encoder's context.
fn note(chunks: &[Chunk], capacity: usize) -> Option<String> {
    let count = chunks.len();
    let tokens: usize = chunks.iter().map(|chunk| chunk.tokens.len()).sum();
    (count > 1).then(|| {
        format!("a prompt has {tokens} tokens; it is read in {count} chunks of up to {capacity}")
    })
}
