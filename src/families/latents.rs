//! The latent space of a family.

/// The latent space between autoencoder and denoiser: facts that `vae/config.json` leaves open.
pub struct LatentSpace {
    /// The factor by which latents are multiplied for the denoiser, for autoencoders that come
    /// without a configuration.
    pub scaling_factor: f32,
    /// Whether activations of the published decoder exceed the range of 16-bit floats, so that a
    /// configuration with `force_upcast` has to be obeyed.
    pub decoder_overflows_f16: bool,
    /// Approximate colours for previews: red, green and blue in [-1, 1] for each latent channel,
    /// then a row that is added. Only for latents of 8×8 pixels.
    ///
    /// Least-squares fits of downsized pictures to their latents, as ComfyUI has them
    /// (comfy/latent_formats.py, `latent_rgb_factors`); the idea is Keturn's ("Decoding latents to
    /// RGB without upscaling", discuss.huggingface.co, 2022).
    pub preview_colours: Option<&'static [[f32; 3]]>,
}
