//! Composition: several prompts for one picture, joined by the word `AND` (Liu et al., Compositional
//! Visual Generation with Composable Diffusion Models, arXiv 2206.01714).
//!
//! `a cat :0.8 AND a dog` are two prompts, the first with the weight 0.8; without a number the weight
//! is 1. The results are those of `get_multicond_prompt_list` (webui's `modules/prompt_parser.py`), but
//! for a number at the end of a prompt without `AND`, which the webui reads as a weight too and this
//! function as text.

use super::words::split_at;

/// Splits a prompt at the word `AND` into prompts with weights, at least one.
pub fn split_and(prompt: &str) -> Vec<(&str, f32)> {
    let parts = split_at("AND", prompt);
    match parts.as_slice() {
        [whole] => vec![(*whole, 1.0)],
        _ => parts.into_iter().map(weighted).collect(),
    }
}

/// A prompt and the weight after its last colon.
fn weighted(text: &str) -> (&str, f32) {
    let split = text.rsplit_once(':').and_then(|(text, number)| {
        let number = number.trim();
        let known = number.chars().all(|c| c.is_ascii_digit() || ".+-".contains(c));
        Some((text, number.parse().ok().filter(|_| known)?))
    });
    let (text, weight) = split.unwrap_or((text, 1.0));
    (text.trim_end(), weight)
}
