//! Device classes and targets from the information that wgpu has of adapters and devices.

use crate::error::{Error, ErrorKind, Result};
use crate::kernels::{Capabilities, CooperativeMatrix, DeviceClass, MatrixType, Target};
use crate::shape::Storage;
use std::sync::Arc;
use wgpu::{
    AdapterInfo, Backend, CooperativeMatrixProperties, CooperativeScalarType, Device, DeviceType,
    Features,
};

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

/// The default storage type of a device.
pub(super) fn default_storage(class: DeviceClass, features: Features) -> Storage {
    match class {
        // A CPU converts halves in software: f32 is both faster and exact there.
        DeviceClass::Software => Storage::F32,
        _ if features.contains(Features::SHADER_F16) => Storage::F16,
        _ => Storage::Packed,
    }
}

/// The target of plans for a device.
pub(super) fn target(class: DeviceClass, device: &Device, storage: Storage) -> Target {
    let limits = device.limits();
    Target {
        storage,
        weight_format: None,
        class,
        capabilities: capabilities(device.features(), &device.adapter_info()),
        max_binding_bytes: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
        workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
        max_invocations: limits.max_compute_invocations_per_workgroup,
        max_group_size: [
            limits.max_compute_workgroup_size_x,
            limits.max_compute_workgroup_size_y,
            limits.max_compute_workgroup_size_z,
        ],
        max_groups: limits.max_compute_workgroups_per_dimension,
        max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
        max_bindings: limits.max_bindings_per_bind_group,
        max_uniform_bytes: limits.max_uniform_buffer_binding_size,
        uniform_alignment_bytes: limits.min_uniform_buffer_offset_alignment,
        choices: Arc::default(),
    }
}

/// Checks the limits that every plan needs, whatever it computes: one bind group with a uniform buffer.
///
/// # Errors
/// `Unsupported`, naming the limit.
pub(super) fn check_limits(device: &Device) -> Result<()> {
    let limits = device.limits();
    for (name, least, got) in [
        ("max_bind_groups", 1, limits.max_bind_groups),
        ("max_uniform_buffers_per_shader_stage", 1, limits.max_uniform_buffers_per_shader_stage),
    ] {
        if got < least {
            let message = format!("the device's limit {name}: expected {least} or more, got {got}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    }
    Ok(())
}

/// The capabilities that a device was opened with. Cooperative matrices are left out: wgpu lists them
/// for adapters only (see [`cooperative_matrices`]).
fn capabilities(features: Features, info: &AdapterInfo) -> Capabilities {
    let subgroups = [info.subgroup_min_size, info.subgroup_max_size];
    Capabilities {
        f16: features.contains(Features::SHADER_F16),
        subgroups: features.contains(Features::SUBGROUP).then_some(subgroups),
        cooperative: Vec::new(),
        // A language feature that naga translates for every driver; wgpu does not tell which of them
        // have an instruction for it.
        packed_dot: true,
    }
}

/// The cooperative matrix products of an adapter that a device opened with these features can use.
/// The feature is experimental in wgpu 30 and has to be enabled with `unsafe`.
pub(super) fn cooperative_matrices(
    features: Features,
    properties: &[CooperativeMatrixProperties],
) -> Vec<CooperativeMatrix> {
    if !features.contains(Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
        return Vec::new();
    }
    let number = |scalar: CooperativeScalarType| match scalar {
        CooperativeScalarType::F16 => MatrixType::F16,
        CooperativeScalarType::F32 => MatrixType::F32,
        CooperativeScalarType::I32 => MatrixType::I32,
        CooperativeScalarType::U32 => MatrixType::U32,
    };
    let product = |p: &CooperativeMatrixProperties| CooperativeMatrix {
        m: p.m_size,
        n: p.n_size,
        k: p.k_size,
        inputs: number(p.ab_type),
        sums: number(p.cr_type),
    };
    properties.iter().map(product).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_those_of_the_opened_device() {
        let properties = CooperativeMatrixProperties {
            m_size: 16,
            n_size: 16,
            k_size: 8,
            ab_type: CooperativeScalarType::F16,
            cr_type: CooperativeScalarType::F32,
            saturating_accumulation: false,
        };
        assert!(cooperative_matrices(Features::all_webgpu_mask(), &[properties]).is_empty());
        let (inputs, sums) = (MatrixType::F16, MatrixType::F32);
        let expected = CooperativeMatrix { m: 16, n: 16, k: 8, inputs, sums };
        let feature = Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
        assert_eq!(cooperative_matrices(feature, &[properties]), [expected]);

        let info = AdapterInfo::new(DeviceType::DiscreteGpu, Backend::Vulkan);
        let none = capabilities(Features::empty(), &info);
        assert!(!none.f16 && none.subgroups.is_none() && none.cooperative.is_empty());
        let both = capabilities(Features::SHADER_F16 | Features::SUBGROUP, &info);
        let sizes = [info.subgroup_min_size, info.subgroup_max_size];
        assert!(both.f16 && both.subgroups == Some(sizes));
    }
}
