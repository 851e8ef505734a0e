//! PyTorch pickles (`.ckpt`, `.pt`, `.bin`), which are refused: loading one can run any code.

use crate::error::{Error, ErrorKind, Result};

/// Refuses a file that begins as PyTorch's pickles do: a zip archive (since 1.6) or the pickle
/// itself. `name` stands for the file in the message, which says how to convert it.
///
/// # Errors
/// `Unsupported` for a pickle.
pub fn refuse_pickle(name: &str, start: &[u8]) -> Result<()> {
    let zip = start.starts_with(b"PK\x03\x04");
    // The mark of a protocol, then its number.
    let pickle = matches!(start, [0x80, 2..=5, ..]);
    if !zip && !pickle {
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

/// Lines of Python that write the tensors of a pickle as safetensors, without running its code.
pub(super) fn conversion(name: &str) -> String {
    let (folder, file) = name.rsplit_once('/').map_or(("", name), |(f, n)| (&name[..=f.len()], n));
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    // transformers' two names of the same thing.
    let stem = stem.strip_prefix("pytorch_").unwrap_or(stem);
    format!(
        "    import torch, safetensors.torch\n    \
         state = torch.load({name:?}, map_location=\"cpu\", weights_only=True)\n    \
         state = state.get(\"state_dict\", state)\n    \
         tensors = {{k: v.contiguous().clone() for k, v in state.items() if torch.is_tensor(v)}}\n    \
         safetensors.torch.save_file(tensors, {:?})",
        format!("{folder}{stem}.safetensors")
    )
}
