//! Preferences of device classes: which variant of a kernel is the default on which class.

use super::DeviceClass;

/// The preferences of a device class, by which kernels order their variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preferences {
    /// Whether operands of products and attention are read through workgroup memory. Adreno reads
    /// through its texture cache instead; for a CPU, workgroup memory is only one more copy.
    pub staged: bool,
    /// Quads of a query that one thread of `attention` keeps in registers, beside as many sums;
    /// `None` for any number. A CPU keeps them in its cache.
    pub register_quads: Option<u32>,
    /// Whether several threads share a reduction and exchange partial results. A CPU driver runs
    /// the threads of a workgroup one after another, so that the exchange is only a cost.
    pub shared_reductions: bool,
}

impl Preferences {
    /// The preferences of a class.
    pub fn of(class: DeviceClass) -> Preferences {
        let gpu = Preferences { staged: true, register_quads: Some(10), shared_reductions: true };
        match class {
            DeviceClass::Portable | DeviceClass::Apple | DeviceClass::Nvidia | DeviceClass::Amd => {
                gpu
            }
            DeviceClass::Intel | DeviceClass::Mali => {
                Preferences { register_quads: Some(5), ..gpu }
            }
            DeviceClass::Adreno => Preferences { staged: false, register_quads: Some(5), ..gpu },
            DeviceClass::Software => {
                Preferences { staged: false, register_quads: None, shared_reductions: false }
            }
        }
    }
}
