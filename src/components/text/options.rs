//! Options of reading texts.

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
    /// The number of first texts that are negative prompts. Where there is one and it is empty, some
    /// models (XL) have zeros in its place.
    pub negatives: usize,
}
