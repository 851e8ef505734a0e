//! The file of compiled kernels: it comes to be, is not written again for nothing, and whatever is in
//! it does no harm.

mod common;

use croquis::gpu::{DeviceOptions, Gpu, GpuWeights};
use croquis::internal::graph::Builder;
use croquis::internal::kernels::activation::Function;
use croquis::internal::shape::{Storage, TensorType};
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// A folder of this process, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let name = format!("croquis-{name}-{}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        let _ = std::fs::remove_dir_all(&folder.0);
        folder
    }

    /// The names of the files in it.
    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.0).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn open(adapter: usize, folder: Option<&Path>) -> Gpu {
    Gpu::open_blocking(&DeviceOptions {
        device: Some(adapter.to_string()),
        storage: Some(Storage::F32),
        pipeline_cache: folder.map(Path::to_owned),
        ..Default::default()
    })
    .expect("the adapter opens")
}

/// Compiles and runs one or two kernels; the result is theirs.
fn draw(gpu: &Gpu, gated: bool) -> Vec<f32> {
    let builder = Builder::new();
    let x = builder.input("x", TensorType::real([2, 8]));
    let y = if gated { (x + x).gate(Function::Gelu) } else { x + x };
    builder.output("y", y);
    let graph = builder.finish().unwrap();
    let program = common::program(gpu, &graph, &GpuWeights::default(), &[]);
    program.write("x", &(0..16).map(|i| i as f32).collect::<Vec<_>>()).unwrap();
    program.run();
    gpu.block_on(program.read("y")).unwrap()
}

/// The adapters whose driver lets applications keep a cache, with the cache's file after one run.
fn cached(folder: &Folder) -> Vec<(usize, PathBuf)> {
    let mut cached = Vec::new();
    for adapter in common::adapters() {
        let before = folder.files();
        let gpu = open(adapter, Some(&folder.0));
        let expected = draw(&open(adapter, None), false);
        assert_eq!(draw(&gpu, false), expected);
        let new: Vec<_> = folder.files().into_iter().filter(|f| !before.contains(f)).collect();
        match new.as_slice() {
            [] => println!("{} has no pipeline cache", gpu.summary()),
            [file] => cached.push((adapter, file.clone())),
            files => panic!("more than one file: {files:?}"),
        }
    }
    assert!(!cached.is_empty(), "no adapter has a pipeline cache");
    cached
}

#[test]
fn a_cache_is_written_when_it_grows() {
    let folder = Folder::new("cache-grows");
    for (adapter, file) in cached(&folder) {
        let (first, time) = (std::fs::read(&file).unwrap(), modified(&file));
        let gpu = open(adapter, Some(&folder.0));
        let known = draw(&gpu, false);
        assert_eq!((std::fs::read(&file).unwrap(), modified(&file)), (first.clone(), time));
        assert_eq!(known, draw(&open(adapter, None), false));
        draw(&gpu, true);
        let second = std::fs::read(&file).unwrap();
        match second.len().cmp(&first.len()) {
            Ordering::Greater => {}
            // Software drivers hand out the header of a cache and nothing else.
            Ordering::Equal => println!("{} keeps no machine code", gpu.summary()),
            Ordering::Less => panic!("{} shrank", file.display()),
        }
    }
    let temporary = |file: &PathBuf| file.extension().is_some_and(|e| e == "tmp");
    assert!(!folder.files().iter().any(temporary), "{:?}", folder.files());
}

fn modified(file: &Path) -> std::time::SystemTime {
    std::fs::metadata(file).unwrap().modified().unwrap()
}

/// Where the data begins that the driver and wgpu made.
const DATA: usize = 16;

#[test]
fn a_damaged_or_foreign_cache_does_no_harm() {
    let folder = Folder::new("cache-damaged");
    for (adapter, file) in cached(&folder) {
        let whole = std::fs::read(&file).unwrap();
        let expected = draw(&open(adapter, None), true);
        let mut flipped = Vec::new();
        for at in [0, 7, 8, 15, 16, 40, whole.len() / 2, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            flipped.push(bytes);
        }
        let mut versions = vec![
            Vec::new(),
            b"garbage".to_vec(),
            (0..5000u32).map(|i| ((i * 7919) >> 3) as u8).collect(),
            whole[..DATA].to_vec(),
            whole[..whole.len() / 2].to_vec(),
            whole[..whole.len() - 1].to_vec(),
            [whole.as_slice(), b"more"].concat(),
            // Whole, but of another adapter and of another version of the driver, as wgpu's header says.
            signed(&whole, DATA + 20),
            signed(&whole, DATA + 33),
        ];
        versions.extend(flipped);
        for bytes in versions {
            std::fs::write(&file, &bytes).unwrap();
            assert_eq!(draw(&open(adapter, Some(&folder.0)), true), expected);
            let after = std::fs::read(&file).unwrap();
            assert!(after != bytes && after.len() >= whole.len(), "it was not written anew");
        }
        // A folder in its place, and one that cannot be made.
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert_eq!(draw(&open(adapter, Some(&folder.0)), true), expected);
        std::fs::remove_dir(&file).unwrap();
        std::fs::write(&file, "").unwrap();
        assert_eq!(draw(&open(adapter, Some(&file.join("below"))), true), expected);
        std::fs::write(&file, &whole).unwrap();
    }
}

/// A file of which a byte of the data is changed, with the checksum of what it is then.
fn signed(whole: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    bytes[at] ^= 0x10;
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let checksum = bytes[DATA..].iter().fold(0xcbf2_9ce4_8422_2325, step);
    bytes[8..DATA].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

#[test]
fn no_folder_no_files() {
    let folder = Folder::new("cache-none");
    for adapter in common::adapters() {
        draw(&open(adapter, None), false);
    }
    assert!(folder.files().is_empty());
}
