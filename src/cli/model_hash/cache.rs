//! Hashes that were computed, each in a small file of its own: what is no longer true or damaged counts as not there.

use super::{hexadecimal, is_hash};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, Metadata};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The place of one file's hash.
pub struct Cache {
    entry: PathBuf,
    /// The file as it is now, without a hash.
    now: Option<Entry>,
    file: PathBuf,
}

/// A hash, and the file that it is of.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    path: String,
    bytes: u64,
    /// The time of its last change, in nanoseconds since 1970.
    modified: u64,
    sha256: String,
}

impl Entry {
    /// A file as it is; `None` where the system does not tell.
    fn of(file: &Path) -> Option<Entry> {
        let file = file.canonicalize().ok()?;
        let metadata = fs::metadata(&file).ok()?;
        let path = file.to_str()?.to_string();
        Some(Entry {
            path,
            bytes: metadata.len(),
            modified: modified(&metadata)?,
            sha256: String::new(),
        })
    }
}

fn modified(metadata: &Metadata) -> Option<u64> {
    let since = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

impl Cache {
    /// The place in a folder for the hash of a file.
    pub fn new(folder: &Path, file: &Path) -> Cache {
        let now = Entry::of(file);
        let path = now.as_ref().map_or("", |now| now.path.as_str());
        let name = hexadecimal(&Sha256::digest(path.as_bytes())[..16]);
        Cache { entry: folder.join(name + ".json"), now, file: file.into() }
    }

    /// The hash, if it is known and the file did not change since.
    pub fn look_up(&self) -> Option<String> {
        let now = self.now.as_ref()?;
        let kept: Entry = serde_json::from_slice(&fs::read(&self.entry).ok()?).ok()?;
        let same = Entry { sha256: String::new(), ..kept.clone() } == *now;
        (same && is_hash(&kept.sha256)).then_some(kept.sha256)
    }

    /// Keeps the hash, unless the file changed since. What cannot be written is computed again another time.
    pub fn keep(&self, sha256: &str) {
        let Some(now) = self.now.clone().filter(|now| Entry::of(&self.file).as_ref() == Some(now))
        else {
            return;
        };
        let entry = Entry { sha256: sha256.into(), ..now };
        if let (Some(folder), Ok(text)) = (self.entry.parent(), serde_json::to_vec(&entry)) {
            let _ = fs::create_dir_all(folder)
                .and_then(|()| tempfile::NamedTempFile::new_in(folder))
                .and_then(|mut new| new.write_all(&text).map(|()| new))
                .map(|new| new.persist(&self.entry).map(drop));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_kept_until_the_file_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, hashes) = (folder.path().join("weights"), folder.path().join("hashes"));
        fs::write(&file, "one").expect("a file");
        let hash = "ab".repeat(32);
        let cache = Cache::new(&hashes, &file);
        assert_eq!(cache.look_up(), None);
        cache.keep(&hash);
        assert_eq!(Cache::new(&hashes, &file).look_up(), Some(hash.clone()));
        // Another size, another time, another content of the entry.
        fs::write(&file, "three").expect("a file");
        assert_eq!(Cache::new(&hashes, &file).look_up(), None);
        cache.keep(&hash);
        assert_eq!(Cache::new(&hashes, &file).look_up(), None, "it changed while it was read");
        let cache = Cache::new(&hashes, &file);
        cache.keep(&hash);
        assert_eq!(cache.look_up(), Some(hash.clone()));
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(9);
        fs::File::options()
            .append(true)
            .open(&file)
            .and_then(|file| file.set_modified(later))
            .expect("a time");
        assert_eq!(Cache::new(&hashes, &file).look_up(), None);
        let cache = Cache::new(&hashes, &file);
        for damaged in ["", "{", "{}", "\u{0}"] {
            cache.keep(&hash);
            assert_eq!(cache.look_up(), Some(hash.clone()));
            fs::write(&cache.entry, damaged).expect("a file");
            assert_eq!(cache.look_up(), None, "{damaged:?}");
        }
        cache.keep("no hash");
        assert_eq!(cache.look_up(), None);
    }
}
