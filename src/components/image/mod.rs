//! A picture as a prompt: IP-Adapter, and the image encoder whose results it reads.

mod encoder;
mod ip_adapter;
mod preprocess;
mod resize;

pub use encoder::ImageEncoder;
pub use ip_adapter::{ImagePrompted, IpAdapter, PicturePrompt};
pub use preprocess::normalised;
