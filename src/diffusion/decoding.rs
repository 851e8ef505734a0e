//! What a caller can choose about the way between latents and pixels: by which autoencoder, in
//! tiles or whole, within how much memory.

use super::autoencoder::{Autoencoder, Direction};
use super::codec::Codec;
use super::model::Model;
use super::session::Diffusion;
use super::tiles::Tiling;
use super::to_channels_first;
use crate::error::{Error, ErrorKind, Result};
use crate::picture::Picture;

impl Model {
    /// Decodes and encodes by another autoencoder than the model's own, such as TAESD.
    ///
    /// # Errors
    /// `Argument` if its latents are not of the model's kind.
    pub fn set_autoencoder(&mut self, autoencoder: Autoencoder) -> Result<()> {
        let mut codec = self.companion(autoencoder)?;
        codec.tiling = self.codec.tiling;
        codec.budget_bytes = self.codec.budget_bytes;
        codec.stage_bytes = self.codec.stage_bytes;
        self.codec = codec;
        Ok(())
    }

    /// Decodes previews by another autoencoder than the model's own, such as TAESD; `None` takes
    /// the model's own.
    ///
    /// # Errors
    /// `Argument` if its latents are not of the model's kind.
    pub fn set_preview_decoder(&mut self, autoencoder: Option<Autoencoder>) -> Result<()> {
        self.preview = autoencoder.map(|autoencoder| self.companion(autoencoder)).transpose()?;
        Ok(())
    }

    /// Chooses whether pictures are decoded and encoded in tiles, and of what size.
    ///
    /// # Errors
    /// `Argument` if tiles are shorter than two latents.
    pub fn set_tiling(&mut self, tiling: Tiling) -> Result<()> {
        let least = 2 * self.codec.pixels_per_latent();
        if let Tiling::Always(pixels) = tiling
            && pixels < least
        {
            let message = format!("tiles: expected sides of at least {least} pixels, got {pixels}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        self.codec.tiling = tiling;
        Ok(())
    }

    /// Bounds the buffers, beside the weights, that decoding or encoding takes at once; beyond, it
    /// goes in tiles. `None` is no bound but the device's. The [memory
    /// budget](Diffusion::set_memory_budget) holds as well: it counts the weights too.
    pub fn set_codec_budget(&mut self, bytes: Option<u64>) {
        self.codec.budget_bytes = bytes.unwrap_or(u64::MAX);
        self.codec.forget_programs();
    }

    /// The codec of an autoencoder for the latents of this model.
    fn companion(&self, autoencoder: Autoencoder) -> Result<Codec> {
        let autoencoder = autoencoder.scaled_by(self.codec.scaling_factor());
        let codec = Codec::new(autoencoder, self.codec.xl);
        let describe = |codec: &Codec| {
            let (channels, side) = (codec.channels(), codec.pixels_per_latent());
            format!("{channels} channels for {side}x{side} pixels")
        };
        let (expected, got) = (describe(&self.codec), describe(&codec));
        if got != expected {
            let message = format!("the autoencoder's latents: expected {expected}, got {got}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        Ok(codec)
    }
}

impl Diffusion {
    /// See [`Model::set_autoencoder`].
    ///
    /// # Errors
    /// As [`Model::set_autoencoder`].
    pub fn set_autoencoder(&mut self, autoencoder: Autoencoder) -> Result<()> {
        self.model.set_autoencoder(autoencoder)
    }

    /// See [`Model::set_preview_decoder`].
    ///
    /// # Errors
    /// As [`Model::set_preview_decoder`].
    pub fn set_preview_decoder(&mut self, autoencoder: Option<Autoencoder>) -> Result<()> {
        self.model.set_preview_decoder(autoencoder)
    }

    /// See [`Model::set_tiling`].
    ///
    /// # Errors
    /// As [`Model::set_tiling`].
    pub fn set_tiling(&mut self, tiling: Tiling) -> Result<()> {
        self.model.set_tiling(tiling)
    }

    /// See [`Model::set_codec_budget`].
    pub fn set_codec_budget(&mut self, bytes: Option<u64>) {
        self.model.set_codec_budget(bytes);
    }

    /// The latents `[C, h, w]` of a picture, scaled for the UNet: the mean of their distribution.
    ///
    /// # Errors
    /// `Argument` if the picture's sides are not multiples of a latent's; `Weights` if there is no
    /// encoder; `Memory` or `Device` from the GPU.
    pub async fn encode(&mut self, picture: &Picture) -> Result<Vec<f32>> {
        let codec = &self.model.codec;
        let (side, channels) = (codec.pixels_per_latent(), codec.channels());
        let (width, height) = (picture.width(), picture.height());
        if width % side != 0 || height % side != 0 {
            let message =
                format!("picture: expected multiples of {side} pixels, got {width}x{height}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let size = [height / side, width / side];
        let noise = vec![0.0; size[0] * size[1] * channels];
        self.make_way(Direction::Encode, size).await?;
        let encoded =
            self.model.codec.encode(&self.gpu, &picture.to_unit_range(), size, &noise).await?;
        Ok(to_channels_first(&encoded.value, channels))
    }
}
