//! Options shared by several commands, one group per theme. Each group has a heading of its own in the help.

mod device;
mod framing;
mod grid;
mod model;
mod picture;
mod prompt;
mod samplers;
mod sampling;

pub use device::GpuOptions;
pub use framing::FramingOptions;
pub use grid::GridOptions;
pub use model::{ModelOptions, parse_tiling, short_name};
pub use picture::PictureOptions;
pub use prompt::PromptOptions;
pub use sampling::{NoiseOptions, SamplingOptions};
