//! Hints for errors by their kind, where the message alone does not say how to fix it: each is true of
//! every error of the kind.

use croquis::ErrorKind;

/// The hint of any command.
pub fn any(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Device => Some("`croquis devices` lists the GPUs, `croquis doctor` checks one"),
        _ => None,
    }
}

/// The hint of a command that draws or plans pictures.
pub fn drawing(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Memory => {
            Some("a smaller --width and --height need less; --storage f16 or packed less than f32")
        }
        // The library tried f32 already.
        ErrorKind::Numeric => Some(
            "a very high --guidance-scale overflows, and so does a damaged model; `croquis doctor` \
             checks the GPU",
        ),
        _ => any(kind),
    }
}

/// The hint of `croquis upscale`.
pub fn upscaling(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Memory => {
            Some("smaller --tiles need less; --storage f16 or packed less than f32")
        }
        _ => any(kind),
    }
}
