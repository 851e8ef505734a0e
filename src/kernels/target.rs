//! What a plan is made for: storage type, device class and the limits that shape kernels.

use crate::shape::Storage;

/// Groups of GPUs that want the same kernel variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceClass {
    /// Any GPU inside WebGPU's default limits.
    Portable,
    /// Qualcomm Adreno, either driver.
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
    /// A CPU that pretends to be a GPU: lavapipe, SwiftShader.
    Software,
}

/// What a plan is made for. It names no GPU API, so plans are made and costed without a GPU.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// How activations and weights are stored.
    pub storage: Storage,
    /// Which kernel variants to prefer.
    pub class: DeviceClass,
    /// The largest buffer range that one binding may cover, in bytes.
    pub max_binding_bytes: u64,
    /// Workgroup memory that one workgroup may use, in bytes.
    pub workgroup_memory_bytes: u32,
    /// Threads that one workgroup may have.
    pub max_invocations: u32,
    /// The alignment of offsets into uniform buffers, in bytes.
    pub uniform_alignment_bytes: u32,
}

impl Target {
    /// Like a Qualcomm Adreno GPU: WebGPU's default limits but for the workgroups.
    pub fn adreno(storage: Storage) -> Self {
        Target {
            class: DeviceClass::Adreno,
            workgroup_memory_bytes: 32 << 10,
            max_invocations: 1024,
            ..Target::webgpu(storage)
        }
    }

    /// WebGPU's default limits: what every browser offers.
    pub fn webgpu(storage: Storage) -> Self {
        Target {
            storage,
            class: DeviceClass::Portable,
            max_binding_bytes: 128 << 20,
            workgroup_memory_bytes: 16 << 10,
            max_invocations: 256,
            uniform_alignment_bytes: 256,
        }
    }
}
