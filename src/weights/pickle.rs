//! Recognition of PyTorch pickles (`.ckpt`, `.pt`, `.bin`), which are never opened: loading one can
//! run any code.

/// The first bytes of a zip archive, the form of PyTorch's files since 1.6.
const ZIP: &[u8] = b"PK\x03\x04";

/// Whether a file's bytes begin like a PyTorch file: a zip archive, or a pickle of protocol 2 to 5.
pub(crate) fn is_pickle(bytes: &[u8]) -> bool {
    // A safetensors file begins with the length of its header in eight bytes, the upper ones zero,
    // and the header's brace: lengths such as 640 (0x280) look like the mark of a protocol.
    let safetensors = matches!(bytes, [_, _, _, _, 0, 0, 0, 0, b'{', ..]);
    bytes.starts_with(ZIP) || matches!(bytes, [0x80, 2..=5, ..]) && !safetensors
}

/// Whether a file's name has an ending that PyTorch's pickles have.
pub(crate) fn is_pickle_name(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    ["bin", "ckpt", "pt", "pth"].iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// Lines of Python that write the tensors of a pickle as safetensors, without running its code.
pub(crate) fn conversion(name: &str) -> String {
    let (folder, file) = name.rsplit_once('/').map_or(("", name), |(f, n)| (&name[..=f.len()], n));
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    // transformers' two names of the same thing.
    let stem = stem.strip_prefix("pytorch_").unwrap_or(stem);
    format!(
        "    import torch, safetensors.torch\n    \
         state = torch.load({name:?}, map_location=\"cpu\", weights_only=True)\n    \
         state = next((state[k] for k in (\"params_ema\", \"params\", \"state_dict\") if k in state), state)\n    \
         tensors = {{k: v.contiguous().clone() for k, v in state.items() if torch.is_tensor(v)}}\n    \
         safetensors.torch.save_file(tensors, {:?})",
        format!("{folder}{stem}.safetensors")
    )
}

#[cfg(test)]
mod tests {
    use super::{is_pickle, is_pickle_name};

    #[test]
    fn pickles_are_told_from_safetensors() {
        let legacy = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
        let framed = b"\x80\x04\x95\x10\0\0\0\0\0\0\0}\x94.";
        for pickle in [&b"PK\x03\x04\0\0"[..], b"\x80\x02}q\0", legacy, framed] {
            assert!(is_pickle(pickle), "{pickle:?}");
        }
        for length in [640u64, 896, 66_176, 8] {
            let header = [&length.to_le_bytes()[..], b"{\"w\":"].concat();
            assert!(!is_pickle(&header), "{length}");
        }
        assert!(!is_pickle(b"GGUF") && !is_pickle(b""));
        assert!(is_pickle_name("a/w.PT") && is_pickle_name("x.bin") && !is_pickle_name("bin"));
    }
}
