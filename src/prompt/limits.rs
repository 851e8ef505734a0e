//! Limits of what is read as a prompt.

use crate::error::{Error, ErrorKind, Result};

/// The most characters of a prompt. 64 chunks, the most that are encoded, are 4800 tokens of CLIP, of
/// which English takes some 5 characters each; beyond this, a text is no prompt.
pub const MAX_CHARACTERS: usize = 65_536;

/// The most brackets that may be open at one place. A word is multiplied by the weight of each of
/// them, so that the time to read a prompt is at most this times its length.
pub const MAX_BRACKETS: usize = 100;

/// Checks the length of a prompt.
///
/// # Errors
/// `Argument` beyond [`MAX_CHARACTERS`].
pub fn check_length(prompt: &str) -> Result<()> {
    let count = prompt.chars().count();
    if count <= MAX_CHARACTERS {
        return Ok(());
    }
    let message = format!("prompt: expected at most {MAX_CHARACTERS} characters, got {count}");
    Err(Error::new(ErrorKind::Argument, message))
}

/// The error for more open brackets than [`MAX_BRACKETS`].
pub fn too_many_brackets() -> Error {
    let message = format!(
        "prompt: expected at most {MAX_BRACKETS} brackets that are open at the same place, got more; \
         \\( and \\[ are brackets of the text"
    );
    Error::new(ErrorKind::Argument, message)
}
