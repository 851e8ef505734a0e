//! Options for the device, its storage type and its memory.

use crate::cli::folders;
use crate::cli::terminal::say;
use clap::{Args, ValueEnum};
use croquis::gpu::{DeviceOptions, Gpu};
use croquis::{Result, Storage};

/// Options for the device, its storage type and its memory.
#[derive(Args)]
#[command(next_help_heading = "Device")]
pub struct GpuOptions {
    /// The device: a position in the list of `croquis devices`, or a part of its name [default: the
    /// environment's CROQUIS_DEVICE, else the best]
    #[arg(long, value_name = "NAME|INDEX")]
    pub device: Option<String>,
    /// The storage type of weights and activations on the GPU
    #[arg(long, value_enum, default_value_t = StorageChoice::Auto)]
    pub storage: StorageChoice,
    /// The memory budget on the GPU, such as 6G; components that do not fit together are loaded in
    /// turn
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub memory: Option<u64>,
}

/// The storage type, or the automatic choice.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StorageChoice {
    /// The best type of the device
    Auto,
    /// 16-bit floats, where shaders can compute with them
    F16,
    /// Pairs of 16-bit floats in 32-bit words, on any GPU
    Packed,
    /// 32-bit floats
    F32,
}

impl StorageChoice {
    /// The chosen storage type; `None` for `auto`.
    pub fn storage(self) -> Option<Storage> {
        match self {
            StorageChoice::Auto => None,
            StorageChoice::F16 => Some(Storage::F16),
            StorageChoice::Packed => Some(Storage::Packed),
            StorageChoice::F32 => Some(Storage::F32),
        }
    }
}

impl GpuOptions {
    /// Opens the device and reports it.
    pub fn open(&self) -> Result<Gpu> {
        let storage = self.storage.storage();
        let device = self.device.clone();
        let pipeline_cache = folders::pipelines();
        let options = DeviceOptions { device, storage, pipeline_cache, ..Default::default() };
        let gpu = Gpu::open_blocking(&options)?;
        say(format!("device {}, storage {}", gpu.summary(), gpu.target().storage));
        Ok(gpu)
    }
}

/// Parses an amount of memory: a number of bytes, or of K, M or G with an optional `iB` or `B`.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit.trim().to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return Err("expected a number with K, M or G, such as 6G".into()),
    };
    match number.parse::<f64>() {
        Ok(number) if number > 0.0 && number * ((1u64 << shift) as f64) < 1e18 => {
            Ok((number * (1u64 << shift) as f64) as u64)
        }
        _ => Err("expected a positive number with K, M or G, such as 6G".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        for (text, bytes) in [
            ("512M", 512 << 20),
            ("6GiB", 6 << 30),
            ("1.5g", 3 << 29),
            ("99", 99),
            ("6442450944", 6 << 30),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "-1G", "6X", "0", "1e99G"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
