//! Tokenised texts, divided into chunks before any encoder runs.

use super::chunks::Chunk;
use std::ops::Range;

/// Options of reading texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextOptions {
    /// The number of last layers left out, beyond those that the model itself leaves out
    /// (diffusers' `clip_skip`). A negative prompt is read with all layers, as diffusers does.
    pub skip: usize,
    /// Whether brackets are words like any others, not weights.
    pub plain: bool,
    /// Where a chunk is full, the words after its last comma move to the next one if the comma is
    /// among so many last tokens.
    pub comma_backtrack: usize,
    /// Whether the first text is a negative prompt. Where it is empty, some models (XL) have zeros
    /// in its place.
    pub negative: bool,
}

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
        texts: &[&str],
        chunks: Vec<Vec<Vec<Chunk>>>,
        options: TextOptions,
        zeros_for_empty: bool,
        [chunk_length, capacity]: [usize; 2],
    ) -> Texts {
        let count = chunks.iter().flatten().map(Vec::len).max().unwrap_or(1).max(1);
        let notes = chunks.first().into_iter().flatten().filter_map(|text| note(text, capacity));
        let notes = notes.collect();
        let groups = groups(texts, options, zeros_for_empty);
        Texts { count: texts.len(), tokens: count * chunk_length, notes, chunks, groups }
    }
}

/// Texts that are encoded together, and the number of last layers left out.
fn groups(
    texts: &[&str],
    options: TextOptions,
    zeros_for_empty: bool,
) -> Vec<(Range<usize>, usize)> {
    let negative = usize::from(options.negative).min(texts.len());
    let zeros = negative == 1 && zeros_for_empty && texts[0].is_empty();
    let all = match (zeros, options.skip) {
        (true, skip) => vec![(1..texts.len(), skip)],
        (false, 0) => vec![(0..texts.len(), 0)],
        (false, skip) => vec![(0..negative, 0), (negative..texts.len(), skip)],
    };
    all.into_iter().filter(|(rows, _)| !rows.is_empty()).collect()
}

/// The note about a text that is longer than the encoder's context.
fn note(chunks: &[Chunk], capacity: usize) -> Option<String> {
    let count = chunks.len();
    let tokens: usize = chunks.iter().map(|chunk| chunk.tokens.len()).sum();
    (count > 1).then(|| {
        format!("a prompt has {tokens} tokens; it is read in {count} chunks of up to {capacity}")
    })
}
