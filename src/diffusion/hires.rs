//! The second pass of text to image at a larger size ("hires fix" in AUTOMATIC1111's web UI): what the
//! first pass drew is enlarged and drawn over by image to image, so that a model makes larger
//! pictures than it was trained for without repeating their contents.

/// A second pass at a larger size. Prompt, sampler, seed and guidance are those of the request.
#[derive(Clone, Debug, PartialEq)]
pub struct Hires {
    /// The factor by which width and height grow, from 1 to 8; the sizes are rounded to what the model
    /// can draw, multiples of 8 pixels.
    pub scale: f32,
    /// The denoising strength of the second pass: 0 keeps the enlarged picture, 1 ignores it.
    pub strength: f32,
    /// The steps of the second pass, of which the part `strength` is run; `None` is the request's.
    pub steps: Option<usize>,
}

impl Hires {
    /// A second pass with the request's number of steps.
    pub fn new(scale: f32, strength: f32) -> Self {
        Hires { scale, strength, steps: None }
    }
}
