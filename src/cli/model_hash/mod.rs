//! The hash of a model's file, by which AUTOMATIC1111's web UI and other programs recognise the model: the first ten
//! digits of its SHA-256. It is computed on a thread while a picture is drawn, once for each file.

mod cache;

use super::folders;
use super::progress::Meter;
use super::terminal::note;
use cache::Cache;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// The digits that are shown.
const DIGITS: usize = 10;

/// The hash of a file: not asked for yet, being computed, or known.
pub struct ModelHash(State);

enum State {
    Waiting(PathBuf),
    Running(JoinHandle<Option<String>>),
    Known(Option<String>),
}

impl ModelHash {
    /// The hash of a file; there is none without a file.
    pub fn of(file: Option<&Path>) -> ModelHash {
        ModelHash(file.map_or(State::Known(None), |file| State::Waiting(file.into())))
    }

    /// Starts a thread that computes the hash, unless there is one already.
    pub fn start(&mut self) {
        if let State::Waiting(file) = &self.0 {
            let file = file.clone();
            self.0 = State::Running(std::thread::spawn(move || short_hash(&file)));
        }
    }

    /// The first digits of the hash; waits for them.
    pub fn get(&mut self) -> Option<&str> {
        self.start();
        if let State::Running(_) = &self.0
            && let State::Running(thread) = std::mem::replace(&mut self.0, State::Known(None))
        {
            let _meter = (!thread.is_finished()).then(|| {
                Meter::waiting("computing the model's hash (--no-model-hash leaves it out)")
            });
            self.0 = State::Known(thread.join().ok().flatten());
        }
        match &self.0 {
            State::Known(hash) => hash.as_deref(),
            _ => None,
        }
    }
}

/// The first digits of a file's SHA-256: from its name in the hub's cache, from the cache of hashes, or computed and kept
/// there.
fn short_hash(file: &Path) -> Option<String> {
    let whole = named_by_hash(file).or_else(|| {
        let cache = folders::hashes().map(|folder| Cache::new(&folder, file));
        let known = cache.as_ref().and_then(|cache| cache.look_up());
        known.or_else(|| {
            let hash = sha256(file)
                .inspect_err(|error| note(format!("no model hash: {}: {error}", file.display())))
                .ok()?;
            cache.inspect(|cache| cache.keep(&hash));
            Some(hash)
        })
    });
    whole.map(|hash| hash[..DIGITS].to_string())
}

/// The SHA-256 that is the name of a file in the hub's cache (`blobs/HASH`, to which links in `snapshots` lead).
fn named_by_hash(file: &Path) -> Option<String> {
    let blob = file.canonicalize().ok()?;
    let name = blob.file_name()?.to_str()?;
    let in_blobs = blob.parent()?.file_name()? == "blobs";
    (in_blobs && is_hash(name)).then(|| name.to_string())
}

/// Whether a text is a SHA-256 in hexadecimal digits.
fn is_hash(text: &str) -> bool {
    let digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    text.len() == 64 && text.bytes().all(digit)
}

/// The SHA-256 of a file in hexadecimal digits, read piece by piece.
fn sha256(file: &Path) -> std::io::Result<String> {
    let mut file = File::open(file)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => hash.update(&buffer[..length]),
        }
    }
    Ok(hexadecimal(&hash.finalize()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes everything
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_fips_180() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("abc");
        std::fs::write(&file, "abc").expect("a file");
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&file).expect("a hash"), abc);
    }

    #[test]
    fn names_in_the_hubs_cache_are_hashes() {
        let folder = tempfile::tempdir().expect("a folder");
        let (name, other) = ("0123456789abcdef".repeat(4), "weights.safetensors");
        for (parent, name, wanted) in
            [("blobs", &name[..], Some(&name)), ("blobs", other, None), ("mine", &name, None)]
        {
            let file = folder.path().join(parent).join(name);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            std::fs::write(&file, "x").expect("a file");
            assert_eq!(named_by_hash(&file).as_ref(), wanted, "{}", file.display());
        }
    }
}
