//! The autoencoder between latents and pictures: decodes and encodes, whole or in tiles.
//!
//! 16-bit storage overflows in the autoencoder of some families
//! ([`LatentSpace::decoder_overflows_f16`](crate::families::LatentSpace::decoder_overflows_f16)), whose configurations say `force_upcast`. As in
//! diffusers' pipelines of those families, such an autoencoder runs with storage f32 whatever the
//! rest of the model has. diffusers ignores the key in its other pipelines, and so does croquis: it
//! is `true` by default there, also for autoencoders that do not overflow.

mod autoencoder;
mod coding;
mod fitting;
mod network;
mod state;

pub use autoencoder::Autoencoder;
pub use coding::Coded;
pub use network::Direction;
pub use state::Codec;

#[cfg(test)]
mod tests;
