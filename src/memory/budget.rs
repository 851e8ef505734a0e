//! The memory budget of a model on a device.

/// The divisor of the device's memory that gives the reserve for drivers, other processes and
/// allocations that plans do not count: a tenth.
const RESERVE: u64 = 10;

/// The memory budget of a model on a device.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// The budget that was set, in bytes.
    pub limit: Option<u64>,
    /// Bytes of device memory that were free before the model was loaded; `None` if unknown.
    pub capacity: Option<u64>,
    /// Whether the device turned out to be too small for all components at once.
    pub crowded: bool,
}

impl Budget {
    /// No limit but the device's memory.
    pub fn of_device(capacity: Option<u64>) -> Budget {
        Budget { limit: None, capacity, crowded: false }
    }

    /// The budget in bytes: the limit, else nine tenths of the device's memory.
    pub fn bytes(&self) -> Option<u64> {
        self.limit.or(self.capacity.map(|bytes| bytes - bytes / RESERVE))
    }
}
