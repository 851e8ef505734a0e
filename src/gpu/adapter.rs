//! Adapters: the GPUs of a machine, and the choice of one.

use super::classify::device_class;
use crate::error::{Error, ErrorKind, Result};
use crate::kernels::DeviceClass;
use std::fmt;
use wgpu::{Adapter, Backend, Backends, DeviceType, Features, Instance};

/// The description of an adapter, for users.
#[derive(Clone, Debug)]
pub struct AdapterSummary {
    /// Its position in the list, best first.
    pub index: usize,
    /// The GPU's name.
    pub name: String,
    /// The driver's name and version.
    pub driver: String,
    /// `Vulkan`, `Metal` or `BrowserWebGpu`.
    pub backend: String,
    /// `DiscreteGpu`, `IntegratedGpu`, `Cpu`, ….
    pub device_type: String,
    /// The device class, which decides on the variants of kernels.
    pub class: DeviceClass,
    /// Whether shaders can compute with native 16-bit floats.
    pub shader_f16: bool,
    /// The largest range one binding may cover, in bytes.
    pub max_binding_bytes: u64,
    /// Bytes of memory that it had when it was listed or opened; see [`Gpu::memory`](super::Gpu::memory).
    pub memory_bytes: Option<u64>,
}

impl fmt::Display for AdapterSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} ({}, {}, {}{})",
            self.index,
            self.name,
            self.backend,
            self.device_type,
            self.driver,
            if self.shader_f16 { ", f16" } else { "" }
        )
    }
}

pub(super) fn instance() -> Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = Backends::VULKAN | Backends::METAL | Backends::BROWSER_WEBGPU;
    // Without validation layers and labels unless WGPU_DEBUG and the like ask for them.
    descriptor.flags = wgpu::InstanceFlags::empty().with_env();
    Instance::new(descriptor)
}

/// The adapters of this machine, best first: discrete GPUs, integrated ones, virtual ones, then
/// CPU drivers.
pub async fn list_adapters() -> Vec<AdapterSummary> {
    let adapters = ranked(&instance()).await;
    adapters.iter().enumerate().map(|(index, adapter)| summarize(index, adapter)).collect()
}

/// [`list_adapters`], blocking.
#[cfg(not(target_arch = "wasm32"))]
pub fn list_adapters_blocking() -> Vec<AdapterSummary> {
    super::completion::block_on(None, list_adapters())
}

pub(super) fn summarize(index: usize, adapter: &Adapter) -> AdapterSummary {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    let driver = [info.driver.as_str(), info.driver_info.as_str()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    AdapterSummary {
        index,
        driver: if driver.is_empty() { "unknown driver".into() } else { driver },
        backend: format!("{:?}", info.backend),
        device_type: format!("{:?}", info.device_type),
        class: device_class(&info),
        shader_f16: adapter.features().contains(Features::SHADER_F16),
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        memory_bytes: super::memory::of_adapter(adapter),
        name: info.name,
    }
}

/// The message where there is no adapter, with what this system may lack.
#[doc(hidden)]
pub const NO_GPU: &str = if cfg!(target_os = "linux") {
    "no GPU was found; install a Vulkan driver (on Debian or Ubuntu: apt install libvulkan1 \
     mesa-vulkan-drivers, which also brings a driver for the CPU)"
} else if cfg!(target_os = "windows") {
    "no GPU was found; install the driver of the graphics card's maker, which contains one for Vulkan"
} else {
    "no GPU was found"
};

/// The adapter that was asked for by position or by a part of its name, or the best one, with its
/// position.
pub(super) async fn select(instance: &Instance, wish: Option<&str>) -> Result<(usize, Adapter)> {
    let adapters = ranked(instance).await;
    if adapters.is_empty() {
        return Err(Error::new(ErrorKind::Device, NO_GPU));
    }
    let names: Vec<_> = adapters.iter().map(|adapter| adapter.get_info().name).collect();
    let index = choose(&names, wish)?;
    let Some(adapter) = adapters.into_iter().nth(index) else {
        unreachable!("choose returns a position of the list");
    };
    Ok((index, adapter))
}

/// The position of the name that was asked for.
fn choose(names: &[String], wish: Option<&str>) -> Result<usize> {
    let Some(wish) = wish else { return Ok(0) };
    let by_name = |name: &String| name.to_lowercase().contains(&wish.to_lowercase());
    let found = match wish.parse::<usize>() {
        Ok(index) => (index < names.len()).then_some(index),
        Err(_) => names.iter().position(by_name),
    };
    found.ok_or_else(|| {
        let list: Vec<_> =
            names.iter().enumerate().map(|(i, name)| format!("{i}: {name}")).collect();
        let message = format!("no device matches {wish:?}; the devices are {}", list.join(", "));
        Error::new(ErrorKind::Device, message)
    })
}

async fn ranked(instance: &Instance) -> Vec<Adapter> {
    let mut adapters = instance.enumerate_adapters(Backends::all()).await;
    if adapters.is_empty() {
        // Browsers do not enumerate: they hand out one adapter.
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        adapters.extend(instance.request_adapter(&options).await.ok());
    }
    adapters.sort_by_key(|adapter| {
        let info = adapter.get_info();
        let kind = match info.device_type {
            DeviceType::DiscreteGpu => 0,
            DeviceType::IntegratedGpu => 1,
            DeviceType::VirtualGpu => 2,
            DeviceType::Other => 3,
            DeviceType::Cpu => 4,
        };
        // Among CPU drivers, lavapipe is the faster one.
        (kind, info.backend == Backend::Gl, info.name.contains("SwiftShader"))
    });
    adapters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_chosen_by_position_or_name() -> Result<()> {
        let names = ["NVIDIA RTX".to_string(), "llvmpipe".to_string()];
        assert_eq!(choose(&names, None)?, 0);
        assert_eq!(choose(&names, Some("1"))?, 1);
        assert_eq!(choose(&names, Some("LLVM"))?, 1);
        let missing = choose(&names, Some("radeon")).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Device);
        assert!(missing.to_string().contains("0: NVIDIA RTX, 1: llvmpipe"), "{missing}");
        assert!(choose(&names, Some("2")).is_err());
        Ok(())
    }
}
