//! The size of a device's memory, as far as its driver or the system tells.
//!
//! Vulkan tells the sizes of its heaps; what other processes hold of them is known to an extension
//! that not every driver has, and is not asked for. Metal and browsers tell nothing through wgpu.

use super::Gpu;
use wgpu::{AdapterInfo, DeviceType};

impl Gpu {
    /// Bytes of memory for buffers: of a GPU with memory of its own the size of its largest heap,
    /// whatever is in use; of others what is available on the host now. `None` where nothing tells:
    /// on Metal and in browsers.
    pub fn memory(&self) -> Option<u64> {
        of(&self.device.adapter_info(), || device_heap(&self.device))
    }
}

/// Bytes of memory that an adapter's devices have.
pub(super) fn of_adapter(adapter: &wgpu::Adapter) -> Option<u64> {
    of(&adapter.get_info(), || adapter_heap(adapter))
}

/// Bytes of memory for a type of device, `heap` those of the device's own.
fn of(info: &AdapterInfo, heap: impl FnOnce() -> Option<u64>) -> Option<u64> {
    match info.device_type {
        // What their drivers call a heap is host memory, in use or not.
        DeviceType::Cpu | DeviceType::IntegratedGpu => host_available(),
        DeviceType::DiscreteGpu | DeviceType::VirtualGpu | DeviceType::Other => heap(),
    }
}

/// Bytes that can be allocated on the host without swapping, page cache that can be given up
/// included.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn host_available() -> Option<u64> {
    available_in(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn host_available() -> Option<u64> {
    None
}

/// `MemAvailable` of `/proc/meminfo` (proc_meminfo(5)), in bytes; the file counts in KiB.
#[cfg_attr(not(any(target_os = "linux", target_os = "android")), allow(dead_code))]
fn available_in(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The bytes of the largest heap with `VK_MEMORY_HEAP_DEVICE_LOCAL_BIT`: a GPU's own memory. A
/// second one is the part of it that the host can reach.
#[cfg(not(any(target_arch = "wasm32", target_vendor = "apple")))]
macro_rules! largest_heap {
    ($open:expr) => {{
        const DEVICE_LOCAL: u32 = 1;
        let open = $open;
        let instance = open.shared_instance().raw_instance();
        // SAFETY: the physical device belongs to the instance, which `open` keeps alive.
        let properties =
            unsafe { instance.get_physical_device_memory_properties(open.raw_physical_device()) };
        let heaps = properties.memory_heaps_as_slice().iter();
        heaps.filter(|heap| heap.flags.as_raw() & DEVICE_LOCAL != 0).map(|heap| heap.size).max()
    }};
}

#[cfg(not(any(target_arch = "wasm32", target_vendor = "apple")))]
#[allow(unsafe_code)]
fn device_heap(device: &wgpu::Device) -> Option<u64> {
    // SAFETY: the device is only read from, and is not destroyed.
    let open = unsafe { device.as_hal::<wgpu::hal::api::Vulkan>() };
    largest_heap!(open?)
}

#[cfg(not(any(target_arch = "wasm32", target_vendor = "apple")))]
#[allow(unsafe_code)]
fn adapter_heap(adapter: &wgpu::Adapter) -> Option<u64> {
    // SAFETY: the adapter is only read from, and is not destroyed.
    let open = unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() };
    largest_heap!(open?)
}

#[cfg(any(target_arch = "wasm32", target_vendor = "apple"))]
fn device_heap(_: &wgpu::Device) -> Option<u64> {
    None
}

#[cfg(any(target_arch = "wasm32", target_vendor = "apple"))]
fn adapter_heap(_: &wgpu::Adapter) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_available_memory_is_read_in_kibibytes() {
        let text = "MemTotal:       24684084 kB\nMemAvailable:   23810104 kB\nCached: 1 kB\n";
        assert_eq!(available_in(text), Some(23_810_104 * 1024));
        for damaged in
            ["", "MemAvailable:", "MemAvailable: x kB", "MemAvailable: 99999999999999999 kB"]
        {
            assert_eq!(available_in(damaged), None, "{damaged}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn every_driver_of_this_machine_tells() {
        let gpu = Gpu::open_blocking(&Default::default()).unwrap();
        let summary = gpu.summary().memory_bytes.unwrap();
        assert!(gpu.memory().is_some_and(|bytes| bytes > 1 << 20) && summary > 1 << 20);
        // The heaps, which software drivers have as well.
        assert!(device_heap(&gpu.device).is_some_and(|bytes| bytes > 1 << 20));
    }
}
