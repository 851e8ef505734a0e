//! The autoencoder between latents and pictures: decodes and encodes, whole or in tiles.
//!
//! 16-bit storage overflows in the autoencoder of some families
//! ([`LatentSpace::decoder_overflows_f16`]), whose configurations say `force_upcast`. As in
//! diffusers' pipelines of those families, such an autoencoder runs with storage f32 whatever the
//! rest of the model has. diffusers ignores the key in its other pipelines, and so does croquis: it
//! is `true` by default there, also for autoencoders that do not overflow.

mod autoencoder;
mod fitting;
mod tiles;

pub use autoencoder::{Autoencoder, Direction};
pub use tiles::Tiling;

use super::component::Component;
use crate::error::{Error, ErrorKind, Result};
use crate::families::LatentSpace;
use crate::files::ModelFiles;
use crate::gpu::{Gpu, Program};
use crate::kernels::Target;
use crate::picture::{Picture, unit_to_byte};
use crate::shape::Storage;
use autoencoder::Network;
use fitting::FittingKey;
use std::sync::{Arc, Mutex};
use tiles::{Mosaic, Tiles};

/// The autoencoder of a model.
pub struct Codec {
    network: Network,
    component: Component<(Direction, [usize; 2])>,
    /// The latent space of the model's family.
    latents: &'static LatentSpace,
    /// Whether and how pictures are divided into tiles.
    pub tiling: Tiling,
    /// The most bytes that buffers of one program may take.
    pub budget_bytes: u64,
    /// The most bytes that weights, buffers and staging memory of one program may take.
    pub stage_bytes: u64,
    /// The longest side of a tile that is chosen here, in latents.
    longest: usize,
    /// The longest side of the tile that the device had no memory for, in latents.
    refused: Option<usize>,
    /// Tiles that were found to fit, so that pictures of one size are planned once.
    fitted: Mutex<Vec<(FittingKey, Tiles)>>,
}

/// A result, and a note for the user about how it was made.
pub struct Coded<T> {
    /// The result.
    pub value: T,
    /// The note, if there is one.
    pub note: Option<String>,
}

impl Codec {
    /// Reads the configuration and the weight headers in `vae/`.
    ///
    /// # Errors
    /// `NotFound`, `Format`, `Config`, `Unsupported` or `Weights`, naming file and key.
    pub fn open(latents: &'static LatentSpace, files: &ModelFiles) -> Result<Codec> {
        let file = "vae/config.json";
        let text = files.text(file)?;
        let autoencoder = Autoencoder::from_parts(file, &text, files.weights("vae")?)?;
        Ok(Codec::new(latents, autoencoder))
    }

    /// An autoencoder for the latents of a family.
    pub fn new(latents: &'static LatentSpace, autoencoder: Autoencoder) -> Codec {
        let Autoencoder { network, weights, .. } = autoencoder;
        let component = Component::new(weights);
        Codec {
            network,
            component,
            latents,
            tiling: Tiling::Auto,
            budget_bytes: u64::MAX,
            stage_bytes: u64::MAX,
            longest: usize::MAX,
            refused: None,
            fitted: Mutex::default(),
        }
    }

    /// An autoencoder in place of this one for the same latents, within the same bounds.
    ///
    /// # Errors
    /// `Argument` if its latents are of another kind.
    pub fn companion(&self, autoencoder: Autoencoder) -> Result<Codec> {
        let codec = self.preview(autoencoder)?;
        let Codec { tiling, budget_bytes, stage_bytes, .. } = *self;
        Ok(Codec { tiling, budget_bytes, stage_bytes, ..codec })
    }

    /// An autoencoder for previews of the same latents.
    ///
    /// # Errors
    /// `Argument` if its latents are of another kind.
    pub fn preview(&self, autoencoder: Autoencoder) -> Result<Codec> {
        let codec = Codec::new(self.latents, autoencoder.scaled_by(self.scaling_factor()));
        let describe = |codec: &Codec| {
            let (channels, side) = (codec.channels(), codec.pixels_per_latent());
            format!("{channels} channels for {side}x{side} pixels")
        };
        let (expected, got) = (describe(self), describe(&codec));
        if got != expected {
            let message = format!("the autoencoder's latents: expected {expected}, got {got}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        Ok(codec)
    }

    /// Bytes of GPU memory that the autoencoder holds.
    pub fn bytes(&self) -> u64 {
        self.component.bytes()
    }

    /// Forgets what is on the GPU.
    pub fn unload(&mut self) {
        self.component.unload();
    }

    /// The latent space of the model's family.
    pub fn latents(&self) -> &'static LatentSpace {
        self.latents
    }

    /// The factor by which a variational autoencoder scales these latents.
    fn scaling_factor(&self) -> f32 {
        match &self.network {
            Network::Variational(config) => config.scaling_factor,
            Network::Tiny(_) => self.latents.scaling_factor,
        }
    }

    /// Forgets the programs of other sizes than those that pictures of this size need.
    pub fn retain(&mut self, target: &Target, size: [usize; 2]) {
        let target = self.target(target);
        let loaded = |direction| self.component.keys().any(|(known, _)| *known == direction);
        let directions = [Direction::Decode, Direction::Encode].into_iter().filter(|d| loaded(*d));
        let keys = directions.filter_map(|direction| {
            Some((direction, self.tiles(&target, direction, size).ok()?.size()))
        });
        let keys: Vec<_> = keys.collect();
        self.component.retain(|key| keys.contains(key));
    }

    /// Forgets all programs; weights stay.
    pub fn forget_programs(&mut self) {
        self.component.retain(|_| false);
    }

    /// Channels of the latents.
    pub fn channels(&self) -> usize {
        self.network.channels()
    }

    /// Pixels along one side of a latent.
    pub fn pixels_per_latent(&self) -> usize {
        self.network.pixels_per_latent()
    }

    /// Whether [`encode`](Codec::encode) takes noise.
    pub fn draws_noise(&self) -> bool {
        self.network.draws_noise()
    }

    /// The picture of latents `[h, w, L]`.
    pub async fn decode(
        &mut self,
        gpu: &Gpu,
        latents: &[f32],
        height: usize,
        width: usize,
    ) -> Result<Coded<Picture>> {
        let gpu = self.gpu(gpu)?;
        let tiles = self.tiles(gpu.target(), Direction::Decode, [height, width])?;
        let rgb = if tiles.is_whole() && self.network.makes_pixels() {
            let program = self.program(&gpu, Direction::Decode, tiles.size()).await?;
            program.write("latents", &self.network.unscale(latents))?;
            program.run();
            if gpu.target().storage != Storage::F32 {
                // A byte does not show what was no number.
                check_finite(&program.read("image").await?, gpu.target().storage)?;
            }
            let pixels = program.read_u32("pixels").await?;
            pixels.iter().flat_map(|rgba| rgba.to_le_bytes().into_iter().take(3)).collect()
        } else {
            let latents = self.network.unscale(latents);
            let image = self.run(&gpu, Direction::Decode, &tiles, &latents).await?;
            check_finite(&image, gpu.target().storage)?;
            self.network.to_unit_range(image).iter().map(|value| unit_to_byte(*value)).collect()
        };
        let side = self.pixels_per_latent();
        let value = Picture::new(width * side, height * side, rgb)?;
        Ok(Coded { value, note: self.note(Direction::Decode, &tiles) })
    }

    /// The decoded image of latents before rounding to bytes: `[H, W, 3]` in about [-1, 1].
    pub async fn decode_raw(
        &mut self,
        gpu: &Gpu,
        latents: &[f32],
        height: usize,
        width: usize,
    ) -> Result<Vec<f32>> {
        let gpu = self.gpu(gpu)?;
        let tiles = self.tiles(gpu.target(), Direction::Decode, [height, width])?;
        let latents = self.network.unscale(latents);
        let image = self.run(&gpu, Direction::Decode, &tiles, &latents).await?;
        Ok(self.network.to_unit_range(image))
    }

    /// Latents `[h, w, L]` of a picture `[H, W, 3]` in [-1, 1], scaled for the UNet: mean +
    /// deviation · `noise`. The size is the latents'.
    pub async fn encode(
        &mut self,
        gpu: &Gpu,
        pixels: &[f32],
        size: [usize; 2],
        noise: &[f32],
    ) -> Result<Coded<Vec<f32>>> {
        let gpu = self.gpu(gpu)?;
        let tiles = self.tiles(gpu.target(), Direction::Encode, size)?;
        let image = self.network.image_of(pixels);
        let moments = self.run(&gpu, Direction::Encode, &tiles, &image).await?;
        let value = self.network.sample(moments, noise);
        Ok(Coded { value, note: self.note(Direction::Encode, &tiles) })
    }

    /// One direction of the network on every tile: `[H, W, C]` to `[H, W, C]`.
    async fn run(
        &mut self,
        gpu: &Gpu,
        direction: Direction,
        tiles: &Tiles,
        values: &[f32],
    ) -> Result<Vec<f32>> {
        let program = self.program(gpu, direction, tiles.size()).await?;
        let (side, latents) = (self.pixels_per_latent(), self.channels());
        let [from, to] = match direction {
            Direction::Decode => [("latents", latents, 1), ("image", 3, side)],
            Direction::Encode => [("image", 3, side), ("moments", self.network.moments(), 1)],
        };
        let expected = tiles.rows.len * tiles.columns.len * from.1 * from.2 * from.2;
        if values.len() != expected {
            let message = format!("{}: expected {expected} values, got {}", from.0, values.len());
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let mut mosaic = Mosaic::new(tiles, to.1, to.2);
        for row in 0..tiles.rows.starts.len() {
            for column in 0..tiles.columns.starts.len() {
                program.write(from.0, &tiles.crop(values, from.1, from.2, [row, column]))?;
                program.run();
                mosaic.add([row, column], &program.read(to.0).await?);
            }
        }
        Ok(mosaic.finish())
    }

    /// The program for tiles of a size.
    async fn program(
        &mut self,
        gpu: &Gpu,
        direction: Direction,
        size: [usize; 2],
    ) -> Result<Arc<Program>> {
        let key = (direction, size);
        match self.component.program(&key) {
            Some(program) => Ok(program),
            None => {
                let plan = self.plan(gpu.target(), direction, size)?;
                self.component.retain(|(other, _)| *other != direction);
                let compiled = self.component.compile(gpu, key, plan, &[]).await;
                if matches!(&compiled, Err(error) if error.kind() == ErrorKind::Memory) {
                    self.refused = size.into_iter().max();
                }
                compiled
            }
        }
    }

    /// The device with the storage type that this autoencoder runs with.
    fn gpu(&self, gpu: &Gpu) -> Result<Gpu> {
        let storage = self.target(gpu.target()).storage;
        if storage == gpu.target().storage { Ok(gpu.clone()) } else { gpu.with_storage(storage) }
    }

    fn target(&self, target: &Target) -> Target {
        let upcast = match &self.network {
            Network::Variational(config) => {
                self.latents.decoder_overflows_f16 && config.force_upcast
            }
            Network::Tiny(_) => false,
        };
        let storage = if upcast { Storage::F32 } else { target.storage };
        Target { storage, ..target.clone() }
    }
}

/// Refuses an image of an autoencoder that overflowed.
fn check_finite(image: &[f32], storage: Storage) -> Result<()> {
    match image.iter().find(|value| !value.is_finite()) {
        None => Ok(()),
        Some(value) => {
            let message =
                format!("the decoded image is not finite ({value}) with storage {storage}");
            Err(Error::new(ErrorKind::Numeric, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::{sd1, sdxl};

    fn codec(config: &str, latents: &'static LatentSpace) -> Codec {
        let mut header = br#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#.to_vec();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.append(&mut header);
        file.extend([0; 4]);
        let weights = crate::weights::Weights::from_bytes("vae", file).unwrap();
        Codec::new(latents, Autoencoder::from_parts("config.json", config, weights).unwrap())
    }

    #[test]
    fn only_stable_diffusion_xl_is_kept_from_16_bits() {
        let silent = r#"{"block_out_channels": [8]}"#;
        let overflows = r#"{"block_out_channels": [8], "force_upcast": true}"#;
        let repaired = r#"{"block_out_channels": [8], "force_upcast": false}"#;
        let (sd1, xl) = (&sd1::FAMILY.latents, &sdxl::FAMILY.latents);
        let table = [
            (silent, sd1, Storage::F16),
            (overflows, sd1, Storage::F16),
            (silent, xl, Storage::F32),
            (overflows, xl, Storage::F32),
            (repaired, xl, Storage::F16),
        ];
        for (config, latents, expected) in table {
            let target = codec(config, latents).target(&Target::webgpu(Storage::F16));
            let overflows = latents.decoder_overflows_f16;
            assert_eq!(target.storage, expected, "{config} {overflows}");
        }
    }

    #[test]
    fn configurations_that_cannot_be_used_are_refused_by_key() {
        let weights =
            codec(r#"{"block_out_channels": [8]}"#, &sd1::FAMILY.latents).component.weights;
        let table = [
            (r#"{"_class_name": "VQModel"}"#, "_class_name"),
            (r#"{"block_out_channels": [8], "latents_mean": [1.0]}"#, "latents_mean"),
            (r#"{"block_out_channels": [8], "latents_std": [1, 1, 0, 1]}"#, "latents_std"),
            (r#"{"block_out_channels": [8], "scaling_factor": 0.0}"#, "scaling_factor"),
            (r#"{"_class_name": "AutoencoderTiny", "act_fn": "silu"}"#, "act_fn"),
            (r#"{"_class_name": "AutoencoderTiny", "num_decoder_blocks": []}"#, "num_decoder"),
            (r#"{"_class_name": "AutoencoderTiny"}"#, "tiny autoencoder"),
        ];
        for (config, expected) in table {
            let refused = Autoencoder::from_parts("config.json", config, weights.clone());
            let message = refused.err().expect(config).to_string();
            assert!(message.contains(expected), "{config}: {message}");
        }
    }
}
