//! Upscalers: networks that enlarge pictures, on a device.

mod fitting;
mod padding;
mod state;
mod upscale;

pub use state::Upscaler;
pub use upscale::TileProgress;
