//! [`Codec`]: an autoencoder with its weights on a device and its memory bounds.

use super::autoencoder::Autoencoder;
use super::network::{AutoencoderNetwork, Direction};
use crate::components::component::Component;
use crate::components::tiles::{Tiles, Tiling};
use crate::error::{Error, ErrorKind, Result};
use crate::families::LatentSpace;
use crate::files::ModelFiles;
use crate::gpu::Gpu;
use crate::kernels::Target;
use crate::shape::Storage;
use std::sync::Mutex;

/// The autoencoder of a model.
pub struct Codec {
    pub(super) network: AutoencoderNetwork,
    pub(super) component: Component<(Direction, [usize; 2])>,
    /// The latent space of the model's family.
    latents: &'static LatentSpace,
    /// Whether and how pictures are divided into tiles.
    pub tiling: Tiling,
    /// The most bytes that buffers of one program may take.
    pub budget_bytes: u64,
    /// The most bytes that weights, buffers and staging memory of one program may take.
    pub stage_bytes: u64,
    /// The upper bound on a chosen tile's side, in latents.
    pub(super) longest: usize,
    /// The longest side of the tile that did not fit in device memory, in latents.
    pub(super) refused: Option<usize>,
    /// Earlier choices of tiles, so that pictures of one size are planned once.
    pub(super) fitted: Mutex<Vec<(FittingKey, Tiles)>>,
}

/// The inputs of the choice of tiles.
#[derive(Clone, PartialEq)]
pub(super) struct FittingKey {
    pub target: Target,
    pub direction: Direction,
    pub size: [usize; 2],
    pub tiling: Tiling,
    pub longest: usize,
    pub budget_bytes: u64,
    pub stage_bytes: u64,
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

    /// Drops weights and programs from the GPU.
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
            AutoencoderNetwork::Variational(config) => config.scaling_factor,
            AutoencoderNetwork::Tiny(_) => self.latents.scaling_factor,
        }
    }

    /// Drops the programs that pictures of this size do not need.
    pub fn retain(&mut self, target: &Target, size: [usize; 2]) {
        let target = self.target(target);
        let loaded = |direction| self.component.keys().any(|(known, _)| *known == direction);
        let directions = [Direction::Decode, Direction::Encode].into_iter().filter(|d| loaded(*d));
        let keys = directions.filter_map(|direction| {
            Some((direction, self.known_tiles(&target, direction, size)?.size()))
        });
        let keys: Vec<_> = keys.collect();
        self.component.retain(|key| keys.contains(key));
    }

    /// Drops all programs; weights stay.
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

    /// The device with the storage type that this autoencoder runs with.
    pub(super) fn gpu(&self, gpu: &Gpu) -> Result<Gpu> {
        let storage = self.target(gpu.target()).storage;
        if storage == gpu.target().storage { Ok(gpu.clone()) } else { gpu.with_storage(storage) }
    }

    pub(super) fn target(&self, target: &Target) -> Target {
        let upcast = match &self.network {
            AutoencoderNetwork::Variational(config) => {
                self.latents.decoder_overflows_f16 && config.force_upcast
            }
            AutoencoderNetwork::Tiny(_) => false,
        };
        let storage = if upcast { Storage::F32 } else { target.storage };
        Target { storage, ..target.clone() }
    }
}
