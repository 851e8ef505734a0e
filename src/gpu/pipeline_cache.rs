//! Machine code of kernels, kept in a file between processes where the driver lets applications keep it:
//! on Vulkan. Drivers of phones keep none themselves.
//!
//! A file per adapter and driver holds [`MAGIC`], a checksum and what wgpu hands out, which begins with
//! the adapter and the driver's version. Whatever is wrong with a file, it is as if there were none, and
//! the next one takes its place.

use super::Gpu;
use crate::error::Result;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use wgpu::{AdapterInfo, Features};

/// The first bytes of a file; the digit is the version of its layout.
const MAGIC: [u8; 8] = *b"croquis1";

/// Bytes before the data: the magic and the checksum.
const HEADER_BYTES: usize = 16;

/// The most data in a file. Caches only grow, so one beyond this is mostly of earlier versions.
const MAX_BYTES: usize = 64 << 20;

/// The pipeline cache of a device and its file.
pub(super) struct PipelineCache {
    cache: wgpu::PipelineCache,
    file: CacheFile,
}

/// A file, and the length of the data that the driver handed out when it was read or last written.
struct CacheFile {
    path: PathBuf,
    stored: Mutex<usize>,
}

impl Gpu {
    /// Reads the pipeline cache of a device from a folder, or starts one. `None` where the device has
    /// no such thing.
    pub(super) async fn pipeline_cache(&self, folder: &Path) -> Option<PipelineCache> {
        if !self.device.features().contains(Features::PIPELINE_CACHE) {
            return None;
        }
        let path = folder.join(file_name(&self.device.adapter_info())?);
        let ignored = |error: &dyn std::fmt::Display| {
            log::warn!("{}: the pipeline cache is ignored: {error}", path.display());
        };
        let data = match read(&path) {
            Ok(data) => Some(data),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    ignored(&error);
                }
                None
            }
        };
        let (cache, stored) = match self.create(data.as_deref()).await {
            // The length of what the driver makes of the data: SwiftShader adds a header each time.
            Ok(cache) => {
                let stored = data.and_then(|_| cache.get_data()).map_or(0, |data| data.len());
                (cache, stored)
            }
            // The data is whole, but of another adapter or version of the driver.
            Err(error) => {
                ignored(&error);
                (self.create(None).await.ok()?, 0)
            }
        };
        let file = CacheFile { path, stored: Mutex::new(stored) };
        Some(PipelineCache { cache, file })
    }

    #[allow(unsafe_code)]
    async fn create(&self, data: Option<&[u8]>) -> Result<wgpu::PipelineCache> {
        let descriptor = wgpu::PipelineCacheDescriptor {
            label: Some("croquis"),
            data,
            // wgpu compares adapter and driver with the header of the data. It would start empty if
            // only the driver's version differs, but then the file would not be written anew.
            fallback: false,
        };
        // SAFETY: the data is what `get_data` returned to an earlier process, since it is read from a
        // file that only this module writes, with a checksum that finds what changed afterwards.
        let create = || unsafe { self.device.create_pipeline_cache(&descriptor) };
        self.guarded("it does not fit this device", create).await
    }
}

impl PipelineCache {
    /// The cache as pipelines take it.
    pub(super) fn handle(&self) -> &wgpu::PipelineCache {
        &self.cache
    }

    /// Writes the file if the cache has grown. Failures are warnings: nothing depends on the file.
    pub(super) fn store(&self) {
        let Some(data) = self.cache.get_data() else { return };
        if let Err(error) = self.file.store(&data) {
            log::warn!("{}: the pipeline cache is not kept: {error}", self.file.path.display());
        }
    }
}

impl CacheFile {
    /// Writes the data if its length has changed.
    fn store(&self, data: &[u8]) -> io::Result<()> {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        if data.len() == *stored {
            return Ok(());
        }
        match data.len() <= MAX_BYTES {
            true => write(&self.path, data)?,
            // The next process starts anew.
            false => fs::remove_file(&self.path)?,
        }
        *stored = data.len();
        Ok(())
    }
}

/// The name of an adapter's file: vendor and device as wgpu names caches, and the driver, of which an
/// adapter can have several.
fn file_name(info: &AdapterInfo) -> Option<String> {
    let key = wgpu::util::pipeline_cache_key(info)?;
    let driver: String = info.driver.chars().filter(char::is_ascii_alphanumeric).collect();
    Some(format!("{key}_{driver}.bin"))
}

/// The data of a file, if it is whole.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_string());
    let mut bytes = Vec::new();
    let most = (HEADER_BYTES + MAX_BYTES + 1) as u64;
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == most {
        return Err(invalid("it is too large"));
    }
    let Some((header, data)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(invalid("it is truncated"));
    };
    if header[..8] != MAGIC {
        return Err(invalid("it is not a pipeline cache of this version"));
    }
    if header[8..] != checksum(data).to_le_bytes() {
        return Err(invalid("it is damaged"));
    }
    bytes.drain(..HEADER_BYTES);
    Ok(bytes)
}

/// Writes a file beside its place and moves it there, so that readers see all of it or nothing.
fn write(path: &Path, data: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    // Left by a process of the same number that was killed.
    let _ = fs::remove_file(&temporary);
    let written =
        OpenOptions::new().write(true).create_new(true).open(&temporary).and_then(|mut file| {
            file.write_all(&MAGIC)?;
            file.write_all(&checksum(data).to_le_bytes())?;
            file.write_all(data)?;
            file.sync_all()?;
            fs::rename(&temporary, path)
        });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// The 64-bit FNV-1a hash (Fowler, Noll, Vo): every step is a bijection of the state, so that no change
/// of a single byte goes unnoticed. It does not protect against who can write the user's files.
fn checksum(data: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    data.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_when_the_data_grows_and_is_bounded() {
        let folder = std::env::temp_dir().join(format!("croquis-cache-{}", std::process::id()));
        let path = folder.join("below").join("cache.bin");
        let file = CacheFile { path: path.clone(), stored: Mutex::new(0) };
        file.store(b"one").unwrap();
        assert_eq!(read(&path).unwrap(), b"one");
        // Of the same length is the same.
        file.store(b"two").unwrap();
        assert_eq!(read(&path).unwrap(), b"one");
        file.store(b"three").unwrap();
        assert_eq!(read(&path).unwrap(), b"three");

        let whole = fs::read(&path).unwrap();
        for bit in 0..8 * whole.len() {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &bytes).unwrap();
            assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData, "bit {bit}");
        }
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData, "{length}");
        }

        let most = vec![7; MAX_BYTES + 1];
        file.store(&most[1..]).unwrap();
        assert_eq!(read(&path).unwrap().len(), MAX_BYTES);
        write(&path, &most).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("too large"));
        file.store(&most).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
        fs::remove_dir_all(&folder).unwrap();
    }
}
