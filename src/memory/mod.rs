//! Device memory: the needs of a picture's stages, computed from their plans, and the budget.

mod budget;
mod bytes;
mod stage;

pub use budget::Budget;
pub use bytes::Bytes;
pub use stage::{MemoryPlan, Stage};
