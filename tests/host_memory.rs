//! Host memory during an upload, in a process of its own: every allocation is counted, and on Linux
//! the system's figure is read too.

use croquis::gpu::{DeviceOptions, Gpu, GpuWeights, STAGING_BYTES};
use croquis::internal::graph::WeightUse;
use croquis::internal::shape::{Shape, Storage};
use croquis::internal::weights::{LowRank, Patch, WeightFormat, WeightLayout, Weights};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Bytes that an upload may allocate beside staging memory, independent of the size of the weights:
/// wgpu's records of buffers and commands, and the error scopes.
const CONSTANT: usize = 1 << 20;

/// The system's allocator with a counter.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator unchanged; only sizes are counted beside it.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of this very function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The peak of allocated bytes while `work` runs, beyond those allocated before.
fn heap(work: impl FnOnce()) -> usize {
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    work();
    MOST.load(Ordering::Relaxed) - before
}

/// The peak of this process' anonymous memory while `work` runs, beyond that before: heap and, with
/// a CPU driver, its buffers; no mapped files.
#[cfg(target_os = "linux")]
fn anonymous(work: impl FnOnce()) -> usize {
    let now = || -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let kib = |name: &str| -> usize {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        (kib("RssAnon:") + kib("RssShmem:")) * 1024
    };
    let (before, most, done) = (now(), AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                most.fetch_max(now(), Ordering::Relaxed);
                std::thread::sleep(std::time::Duration::from_micros(500));
            }
        });
        work();
        done.store(true, Ordering::Relaxed);
    });
    most.into_inner().saturating_sub(before)
}

/// A mapped file of two f32 matrices of `side`² and some small vectors. It is sparse: nearly all of
/// it is zeros that take no disk space.
fn model(side: usize) -> Weights {
    let path = std::env::temp_dir().join(format!("croquis-host-{}", std::process::id()));
    let (mut header, mut end) = (String::from("{"), 0);
    for (name, shape) in [("a", vec![side, side]), ("b", vec![side, side]), ("c", vec![side])] {
        let start = end;
        end += 4 * shape.iter().product::<usize>();
        let comma = if start == 0 { "" } else { "," };
        header += &format!(
            r#"{comma}"{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
        );
    }
    header.push('}');
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len((8 + header.len() + end) as u64).unwrap();
    let weights = Weights::open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    weights
}

/// One test for everything: allocations of other test threads would be counted too.
#[test]
fn an_upload_takes_no_more_than_its_staging_memory() {
    let options = DeviceOptions { storage: Some(Storage::F32), ..Default::default() };
    let gpu = Gpu::open_blocking(&options).unwrap();
    let side = 4096;
    let largest = 4 * side * side;
    let mut weights = model(side);
    let wanted: Vec<_> =
        [("a", WeightLayout::Matrix), ("b", WeightLayout::Matrix), ("c", WeightLayout::Vector)]
            .map(|(name, layout)| {
                let shape = Shape::new(weights.shape(name).unwrap());
                WeightUse::new(name, layout, WeightFormat::F32, shape).unwrap()
            })
            .into();
    let resident: usize = wanted.iter().map(|weight| weight.bytes() as usize).sum();

    // The counter sees a tensor that is made on the host.
    let packed = heap(|| drop(weights.pack("a", WeightLayout::Matrix, WeightFormat::F32).unwrap()));
    assert!(packed >= largest, "{packed} bytes counted of {largest}");

    let rank = 4;
    let patch = || {
        Patch::from(
            LowRank::new(vec![0.5; side * rank], vec![0.25; side * rank], rank, 1.0).unwrap(),
        )
    };
    for patched in [false, true] {
        if patched {
            let patches = [("a".to_string(), vec![patch()]), ("b".to_string(), vec![patch()])];
            weights.set_patches(patches.into()).unwrap();
        }
        let mut uploaded = GpuWeights::default();
        let upload = |uploaded: &mut GpuWeights| {
            gpu.block_on(uploaded.upload(&gpu, &weights, &wanted)).unwrap();
        };
        let most = heap(|| upload(&mut uploaded));
        println!("patched {patched}: {most} bytes on the heap for tensors of {largest}");
        assert!(most <= CONSTANT, "patched {patched}: {most} bytes on the heap");
        assert_eq!(uploaded.bytes(), resident as u64);
        drop(uploaded);
        gpu.block_on(gpu.finished()).unwrap();

        // On a driver for the CPU the buffers are there, and staging memory for a part of a tensor.
        #[cfg(target_os = "linux")]
        if gpu.summary().device_type == "Cpu" {
            let mut uploaded = GpuWeights::default();
            let most = anonymous(|| upload(&mut uploaded));
            let allowed = resident + STAGING_BYTES as usize + 16 * CONSTANT;
            assert!(allowed < resident + largest / 2, "a whole tensor would be seen");
            println!("patched {patched}: {most} anonymous bytes, {resident} of them in buffers");
            assert!(most <= allowed, "patched {patched}: {most} bytes, allowed {allowed}");
            assert!(most >= resident, "{most} bytes are fewer than what was uploaded");
        }
    }
}
