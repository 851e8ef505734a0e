//! The options that a device is opened with, and what they request of an adapter.

use crate::kernels::Target;
use crate::shape::Storage;
use std::path::PathBuf;
use wgpu::{Features, Limits};

/// The options of [`Gpu::open`](super::Gpu::open): which device, and how.
#[derive(Clone, Debug, Default)]
pub struct DeviceOptions {
    /// The position in [`list_adapters`](super::list_adapters) or a part of the name; `None`
    /// takes the environment variable `CROQUIS_DEVICE`, else the best adapter.
    pub device: Option<String>,
    /// How activations and weights are stored; `None` takes what suits the device.
    pub storage: Option<Storage>,
    /// The limits to stay within.
    pub limits: LimitProfile,
    /// A folder where compiled kernels are kept between processes, a file per adapter and driver; it
    /// need not exist yet. `None` touches no files. Only Vulkan has such a cache; elsewhere this is
    /// ignored.
    pub pipeline_cache: Option<PathBuf>,
}

/// The limits that a device is opened with. wgpu enforces them whatever the hardware allows, so
/// that a plan made for a browser or a phone can be tried anywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitProfile {
    /// All that the adapter allows.
    #[default]
    Adapter,
    /// WebGPU's default limits, without optional features, and the portable kernel variants.
    WebGpu,
    /// Like a Qualcomm Adreno GPU: 128 MiB a binding, 32 KiB of workgroup memory, no `shader-f16`,
    /// and the kernel variants of that class.
    Adreno,
}

impl DeviceOptions {
    /// What is requested of an adapter: optional features only where it has them.
    pub(super) fn descriptor(&self, adapter: &wgpu::Adapter) -> wgpu::DeviceDescriptor<'static> {
        let wanted = match self.limits {
            LimitProfile::Adapter => {
                Features::SHADER_F16 | Features::SUBGROUP | Features::TIMESTAMP_QUERY
            }
            LimitProfile::WebGpu | LimitProfile::Adreno => Features::empty(),
        };
        let cached = match self.pipeline_cache {
            Some(_) => Features::PIPELINE_CACHE,
            None => Features::empty(),
        };
        wgpu::DeviceDescriptor {
            label: Some("croquis"),
            required_features: adapter.features() & (wanted | cached),
            required_limits: self.limits.limits(adapter),
            // Weights are many buffers of all sizes: blocks for them in steps of 8 to 64 MiB, not
            // of 128 to 256.
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        }
    }
}

impl LimitProfile {
    fn limits(self, adapter: &wgpu::Adapter) -> Limits {
        match self {
            LimitProfile::Adapter => adapter.limits(),
            LimitProfile::WebGpu => Limits::default(),
            LimitProfile::Adreno => {
                let adreno = Target::adreno(Storage::Packed);
                Limits {
                    max_compute_workgroup_storage_size: adreno.workgroup_memory_bytes,
                    max_compute_invocations_per_workgroup: adreno.max_invocations,
                    ..Limits::default()
                }
                .or_worse_values_from(&adapter.limits())
            }
        }
    }
}
