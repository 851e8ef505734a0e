//! Text encoders: prompts to text embeddings.
//!
//! A prompt of any length is read in chunks, each as long as the encoder's context and encoded by
//! itself; the results are joined along the tokens. Stable Diffusion XL has two encoders, whose
//! results are joined along the width (Podell et al., arXiv 2307.01952, section 2.1).

mod chunks;
mod encoder;
mod inversion;
mod options;
mod text_encoder;
mod texts;
mod weighting;

pub use inversion::TextualInversion;
pub use options::TextOptions;
pub use text_encoder::{TextEmbeddings, TextEncoder};
pub use texts::Texts;
