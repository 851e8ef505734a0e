//! Shared by the tests that run on GPUs: every adapter of this machine, and comparisons.
#![allow(dead_code)] // each test target uses a part

use croquis::Result;
use croquis::Storage;
use croquis::gpu::{DeviceOptions, Gpu, GpuWeights, LimitProfile, Link, Program};
use croquis::internal::graph::{Graph, Plan};
use std::sync::OnceLock;

/// Every adapter of this machine with each storage type it supports; prints the list once.
pub fn gpus() -> &'static [Gpu] {
    static GPUS: OnceLock<Vec<Gpu>> = OnceLock::new();
    GPUS.get_or_init(|| {
        let mut gpus = Vec::new();
        for adapter in adapters() {
            let device = Some(adapter.to_string());
            let options =
                DeviceOptions { device, storage: Some(Storage::F32), ..Default::default() };
            let gpu = Gpu::open_blocking(&options).expect("the adapter opens");
            println!("testing on {}", gpu.summary());
            gpus.extend(Storage::ALL.iter().filter_map(|&storage| gpu.with_storage(storage).ok()));
        }
        assert!(!gpus.is_empty(), "no adapter: install a Vulkan driver (./x test does)");
        gpus
    })
}

/// The positions of the adapters in the list of devices.
pub fn adapters() -> Vec<usize> {
    let count = pollster::block_on(croquis::gpu::list_adapters()).len();
    (0..count).collect()
}

/// An adapter with other limits than its own.
pub fn limited(adapter: usize, storage: Storage, limits: LimitProfile) -> Result<Gpu> {
    let device = Some(adapter.to_string());
    Gpu::open_blocking(&DeviceOptions {
        device,
        storage: Some(storage),
        limits,
        ..Default::default()
    })
}

/// The name of the device and its storage type, for messages.
pub fn name(gpu: &Gpu) -> String {
    format!("{} with {}", gpu.summary().name, gpu.target().storage)
}

/// Plans and compiles a graph.
pub fn program(gpu: &Gpu, graph: &Graph, weights: &GpuWeights, links: &[Link<'_>]) -> Program {
    let plan = Plan::new(graph, gpu.target()).expect("the graph can be planned");
    gpu.block_on(Program::new(gpu, plan, weights, links)).expect("the plan compiles")
}

/// ‖got − expected‖ / ‖expected‖; infinite where a value is not finite or the lengths differ.
pub fn relative_l2<T: Copy + Into<f64>>(got: &[T], expected: &[T]) -> f64 {
    let finite = |value: &T| (*value).into().is_finite();
    if got.len() != expected.len() || !got.iter().all(finite) {
        return f64::INFINITY;
    }
    let square = |value: f64| value * value;
    let pairs = got.iter().zip(expected).map(|(a, b)| ((*a).into(), (*b).into()));
    let (error, norm) = pairs.fold((0.0, 0.0), |(error, norm), (a, b): (f64, f64)| {
        (error + square(a - b), norm + square(b))
    });
    if norm == 0.0 { error.sqrt() } else { (error / norm).sqrt() }
}

/// Peak signal-to-noise ratio in dB of pictures in [0, 255].
pub fn psnr(got: &[u8], expected: &[u8]) -> f64 {
    if got.len() != expected.len() || got.is_empty() {
        return f64::NEG_INFINITY;
    }
    let square = |a: u8, b: u8| (f64::from(a) - f64::from(b)).powi(2);
    let error: f64 = got.iter().zip(expected).map(|(a, b)| square(*a, *b)).sum();
    10.0 * (255.0 * 255.0 * got.len() as f64 / error.max(1e-9)).log10()
}

/// A tensor of a golden file, with its shape.
pub fn golden(file: &safetensors::SafeTensors<'_>, name: &str) -> (Vec<usize>, Vec<f32>) {
    let tensor = file.tensor(name).unwrap_or_else(|error| panic!("golden tensor {name}: {error}"));
    assert_eq!(tensor.dtype(), safetensors::Dtype::F32, "{name}");
    (tensor.shape().to_vec(), bytemuck::pod_collect_to_vec(tensor.data()))
}

/// Converts PyTorch's `[N, C, H, W]` to croquis' `[N, H, W, C]`.
pub fn nhwc(shape: &[usize], values: &[f32]) -> Vec<f32> {
    let &[n, c, h, w] = shape else { panic!("expected four dimensions, got {shape:?}") };
    let mut out = Vec::with_capacity(values.len());
    for n in 0..n {
        for pixel in 0..h * w {
            out.extend((0..c).map(|c| values[(n * shape[1] + c) * h * w + pixel]));
        }
    }
    out
}
