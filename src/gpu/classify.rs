//! Device classes and targets from what an adapter says of itself.

use crate::kernels::{DeviceClass, Target};
use crate::shape::Storage;
use wgpu::{AdapterInfo, Backend, DeviceType, Features, Limits};

/// PCI vendor numbers.
mod vendor {
    pub const AMD: u32 = 0x1002;
    pub const APPLE: u32 = 0x106b;
    pub const ARM: u32 = 0x13b5;
    pub const INTEL: u32 = 0x8086;
    pub const NVIDIA: u32 = 0x10de;
    pub const QUALCOMM: u32 = 0x5143;
}

/// The class of kernels that suits an adapter.
pub(super) fn device_class(info: &AdapterInfo) -> DeviceClass {
    if info.device_type == DeviceType::Cpu {
        return DeviceClass::Software;
    }
    match info.vendor {
        _ if info.backend == Backend::Metal => DeviceClass::Apple,
        vendor::APPLE => DeviceClass::Apple,
        vendor::QUALCOMM => DeviceClass::Adreno,
        vendor::NVIDIA => DeviceClass::Nvidia,
        vendor::AMD => DeviceClass::Amd,
        vendor::INTEL => DeviceClass::Intel,
        vendor::ARM => DeviceClass::Mali,
        _ => DeviceClass::Portable,
    }
}

/// The storage type that suits a device when the user has no wish.
pub(super) fn default_storage(class: DeviceClass, features: Features) -> Storage {
    match class {
        // A CPU converts halves in software: f32 is both faster and exact there.
        DeviceClass::Software => Storage::F32,
        _ if features.contains(Features::SHADER_F16) => Storage::F16,
        _ => Storage::Packed,
    }
}

/// What plans are made for on a device.
pub(super) fn target(class: DeviceClass, limits: &Limits, storage: Storage) -> Target {
    Target {
        storage,
        class,
        max_binding_bytes: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
        workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
        max_invocations: limits.max_compute_invocations_per_workgroup,
        uniform_alignment_bytes: limits.min_uniform_buffer_offset_alignment,
    }
}
