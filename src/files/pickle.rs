//! Refusal of PyTorch pickles (`.ckpt`, `.pt`, `.bin`): loading one can run any code.

use crate::error::{Error, ErrorKind, Result};
use crate::weights::Source;
use crate::weights::pickle::{conversion, is_pickle};

/// Refuses a file that begins like a PyTorch pickle. `name` stands for the file in the message, which says how to convert it.
///
/// # Errors
/// `Unsupported` for a pickle.
pub fn refuse_pickle(name: &str, source: &Source) -> Result<()> {
    let start = source.start(16).map_err(|error| error.context(name))?;
    if !is_pickle(&start) {
        return Ok(());
    }
    let message = format!(
        "{name}: expected safetensors or GGUF, got a PyTorch pickle (.ckpt, .pt, .bin), which \
         croquis does not open: loading one can run any code that is in it. Take the model's \
         .safetensors file, or convert this one in Python:\n{}",
        conversion(name)
    );
    Err(Error::new(ErrorKind::Unsupported, message))
}
