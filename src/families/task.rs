//! The task of a UNet.

/// The task a UNet was trained for, which shows in the channels of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Latents only, 4 channels.
    TextToImage,
    /// Latents, a mask and the masked picture's latents, 9 channels.
    Inpainting,
    /// Latents and those of a picture to change (InstructPix2Pix), 8 channels.
    Edit,
}

impl Task {
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Task::TextToImage => "text to image",
            Task::Inpainting => "inpainting",
            Task::Edit => "edits by instruction",
        }
    }
}
