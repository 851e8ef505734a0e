//! Execution on a GPU; the only module that names wgpu.
//!
//! [`Gpu`] is an opened device, [`GpuWeights`] a component's weights in its memory, [`Program`] a
//! plan with its pipelines, buffers and bind groups, [`Recording`] one run of it, ready to submit.

mod adapter;
mod classify;
mod commands;
mod compile;
mod completion;
mod device;
mod failure;
mod guard;
mod memory;
mod options;
mod pipeline_cache;
mod program;
mod readback;
mod recording;
mod timing;
mod upload;

/// The limits and capabilities of a device, which [`Model::memory`](crate::Model::memory) takes.
pub use crate::kernels::{DeviceClass, Target};
#[doc(hidden)]
pub use adapter::NO_GPU;
#[cfg(not(target_arch = "wasm32"))]
pub use adapter::list_adapters_blocking;
pub use adapter::{AdapterSummary, list_adapters};
pub use device::Gpu;
pub use options::{DeviceOptions, LimitProfile};
#[doc(hidden)]
pub use program::{Link, Program, buffer_bytes};
#[doc(hidden)]
pub use recording::Recording;
#[doc(hidden)]
pub use timing::DispatchTime;
#[doc(hidden)]
pub use upload::{GpuWeights, STAGING_BYTES, staging_bytes};
/// The wgpu whose devices [`Gpu::from_device`] takes.
pub use wgpu;
