//! The target of a plan: storage types, device class, capabilities and limits.

use super::Choices;
use crate::shape::Storage;
use crate::weights::WeightFormat;
use std::sync::Arc;

/// Groups of GPUs that prefer the same kernel variants; see
/// [`Preferences`](super::preferences::Preferences).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceClass {
    /// Any GPU inside WebGPU's default limits.
    Portable,
    /// Qualcomm Adreno, with Qualcomm's driver or Mesa's.
    Adreno,
    /// Apple GPUs through Metal.
    Apple,
    /// NVIDIA.
    Nvidia,
    /// AMD.
    Amd,
    /// Intel.
    Intel,
    /// ARM Mali.
    Mali,
    /// CPU drivers: lavapipe, SwiftShader.
    Software,
}

impl DeviceClass {
    /// Every class.
    pub const ALL: [DeviceClass; 8] = [
        DeviceClass::Portable,
        DeviceClass::Adreno,
        DeviceClass::Apple,
        DeviceClass::Nvidia,
        DeviceClass::Amd,
        DeviceClass::Intel,
        DeviceClass::Mali,
        DeviceClass::Software,
    ];
}

/// The number type of a cooperative matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatrixType {
    /// 16-bit float.
    F16,
    /// 32-bit float.
    F32,
    /// 32-bit signed integer.
    I32,
    /// 32-bit unsigned integer.
    U32,
}

/// A cooperative matrix product of a device: C `[m, n]` += A `[m, k]` · B `[k, n]`, computed by the
/// threads of a subgroup together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CooperativeMatrix {
    /// Rows of A and C.
    pub m: u32,
    /// Columns of B and C.
    pub n: u32,
    /// Columns of A, rows of B.
    pub k: u32,
    /// The type of A and B.
    pub inputs: MatrixType,
    /// The type of C.
    pub sums: MatrixType,
}

/// Optional abilities of a device that kernel variants may require.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Capabilities {
    /// Native 16-bit floats in shaders (`enable f16`).
    pub f16: bool,
    /// Subgroup operations: the smallest and largest number of threads in a subgroup.
    pub subgroups: Option<[u32; 2]>,
    /// The cooperative matrix products; empty where there are none.
    pub cooperative: Vec<CooperativeMatrix>,
    /// The packed integer dot product `dot4I8Packed`. WGSL has it everywhere; a driver without an
    /// instruction for it computes it in several.
    pub packed_dot: bool,
}

/// The target of a plan. It names no GPU API, so that plans are made and costed without a GPU.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The storage type of activations and, by default, of weights.
    pub storage: Storage,
    /// The format of matrices and filters; `None` for that of the storage type.
    pub weight_format: Option<WeightFormat>,
    /// The device class, which orders kernel variants.
    pub class: DeviceClass,
    /// Optional abilities of the device.
    pub capabilities: Capabilities,
    /// The largest buffer range of one binding, in bytes.
    pub max_binding_bytes: u64,
    /// Workgroup memory of one workgroup, in bytes.
    pub workgroup_memory_bytes: u32,
    /// Threads of one workgroup.
    pub max_invocations: u32,
    /// Threads of one workgroup along x, y and z.
    pub max_group_size: [u32; 3],
    /// Workgroups along one axis of a dispatch.
    pub max_groups: u32,
    /// Storage buffers of one shader.
    pub max_storage_buffers: u32,
    /// Bindings of one bind group: a uniform buffer and the storage buffers.
    pub max_bindings: u32,
    /// The largest uniform buffer range of one binding, in bytes.
    pub max_uniform_bytes: u64,
    /// The alignment of offsets into uniform buffers, in bytes.
    pub uniform_alignment_bytes: u32,
    /// Measured choices of variants; where there is none, the first variant is taken.
    pub choices: Arc<Choices>,
}

impl Target {
    /// A target like a Qualcomm Adreno GPU: WebGPU's default limits but for the workgroups.
    pub fn adreno(storage: Storage) -> Self {
        Target {
            class: DeviceClass::Adreno,
            workgroup_memory_bytes: 32 << 10,
            max_invocations: 1024,
            max_group_size: [1024, 1024, 64],
            ..Target::webgpu(storage)
        }
    }

    /// A target with WebGPU's default limits, which every browser offers.
    pub fn webgpu(storage: Storage) -> Self {
        let f16 = storage == Storage::F16;
        Target {
            storage,
            weight_format: None,
            class: DeviceClass::Portable,
            capabilities: Capabilities { f16, packed_dot: true, ..Default::default() },
            max_binding_bytes: 128 << 20,
            workgroup_memory_bytes: 16 << 10,
            max_invocations: 256,
            max_group_size: [256, 256, 64],
            max_groups: 65_535,
            max_storage_buffers: 8,
            max_bindings: 1000,
            max_uniform_bytes: 64 << 10,
            uniform_alignment_bytes: 256,
            choices: Arc::default(),
        }
    }
}
