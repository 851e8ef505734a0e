//! Memory of the device: what the stages of a picture take by their plans, and the budget they have
//! to fit.

mod budget;
mod bytes;
mod stage;

pub use budget::Budget;
pub use bytes::Bytes;
pub use stage::{MemoryPlan, Stage};
