//! Words of the syntax in a text.

/// Splits a text at a word: where no letter, digit or underscore adjoins it.
pub fn split_at<'t>(word: &str, text: &'t str) -> Vec<&'t str> {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut pieces = Vec::new();
    let (mut start, mut search) = (0, 0);
    while let Some(at) = text[search..].find(word).map(|at| search + at) {
        search = at + word.len();
        if !text[..at].ends_with(in_word) && !text[search..].starts_with(in_word) {
            pieces.push(&text[start..at]);
            start = search;
        }
    }
    pieces.push(&text[start..]);
    pieces
}
