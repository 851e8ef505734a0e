//! Within which memory a model runs: what is planned, what makes way, and what is given up when the
//! device refuses an allocation all the same.

use super::autoencoder::Direction;
use super::codec::Coded;
use super::memory::Bytes;
use super::model::Part;
use super::request::Request;
use super::session::Diffusion;
use crate::error::{Error, ErrorKind, Result};
use crate::picture::Picture;

/// The part of a device's memory that is left to drivers, other processes and what plans do not
/// count: a tenth.
const RESERVE: u64 = 10;

impl Diffusion {
    /// Limits the memory that a picture may take on the device, in bytes: weights, activations and
    /// staging memory (see [`MemoryPlan`](super::MemoryPlan)). Where not all components fit, they
    /// are loaded, used and dropped in turn; where the autoencoder does not fit even then, it works
    /// in tiles; where a stage does not fit at all, a picture is refused before anything is
    /// allocated.
    ///
    /// `None` takes nine tenths of [`Gpu::memory`](crate::gpu::Gpu::memory) as it was when the model
    /// was put on the device. Where the device does not tell, everything stays loaded until it
    /// refuses an allocation; from then on components take turns. `Some(u64::MAX)` is no limit.
    ///
    /// Previews are decoded beside the denoiser, within what it leaves. What is on the device is
    /// loaded anew.
    pub fn set_memory_budget(&mut self, bytes: Option<u64>) {
        self.budget = bytes;
        self.model.unload();
    }

    /// What bounds the memory of a picture: the [budget](Diffusion::set_memory_budget) that was
    /// set, or what the device has.
    pub fn memory_budget(&self) -> Option<u64> {
        self.budget.or(self.capacity.map(|bytes| bytes - bytes / RESERVE))
    }

    /// Plans a request within the budget and forgets programs of other sizes; whether components
    /// take turns.
    pub(super) fn takes_turns(&mut self, request: &Request) -> Result<bool> {
        let budget = self.memory_budget().unwrap_or(u64::MAX);
        let target = self.gpu.target().clone();
        self.model.codec.stage_bytes = budget;
        let plan = self.model.memory(request, &target);
        let fit = plan.and_then(|plan| Ok((plan.fit(budget)?, plan.together())));
        let (turns, together) = match fit {
            Err(error) if error.kind() == ErrorKind::Memory => {
                let advice = self.model.advice(request, &target, budget)?;
                return Err(Error::new(ErrorKind::Memory, format!("{error}; {advice}")));
            }
            fit => fit?,
        };
        self.model.retain(request, &target)?;
        // Previews are no stage of their own; a decoder for them stays where there is room.
        if let Some(preview) = &mut self.model.preview
            && preview.bytes().saturating_add(together) > budget
        {
            preview.unload();
        }
        Ok(turns || self.crowded)
    }

    /// The picture of latents `[h, w, L]`. Other components make way for the decoder where they
    /// must.
    pub(super) async fn decode_latents(
        &mut self,
        latents: &[f32],
        height: usize,
        width: usize,
    ) -> Result<Coded<Picture>> {
        self.make_way(Direction::Decode, [height, width]).await?;
        loop {
            let gpu = self.gpu.clone();
            match self.model.codec.decode(&gpu, latents, height, width).await {
                Err(error) if error.kind() == ErrorKind::Memory && self.make_room().await? => {}
                decoded => return decoded,
            }
        }
    }

    /// Unloads the other components where they leave too little of the budget for one direction of
    /// the autoencoder on pictures of this size, in latents.
    ///
    /// # Errors
    /// `Memory` if it does not fit alone either.
    pub(super) async fn make_way(&mut self, direction: Direction, size: [usize; 2]) -> Result<()> {
        let Some(budget) = self.memory_budget() else { return Ok(()) };
        self.model.codec.stage_bytes = budget;
        let needed = self.model.codec.needed_bytes(self.gpu.target(), direction, size)?;
        let others = self.model.bytes() - self.model.codec.bytes();
        if others > 0 && others.saturating_add(needed) > budget {
            self.model.unload_all_but(Some(Part::Codec));
            self.gpu.finished().await?;
        }
        Ok(())
    }

    /// Gives something up after an error, if it was that the device refused an allocation; whether
    /// it is worth another try. First that all components stay loaded, then the size of tiles.
    pub(super) async fn make_room(&mut self) -> Result<bool> {
        if !self.gpu.take_out_of_memory() {
            return Ok(false);
        }
        let bytes = self.model.bytes();
        if !self.crowded && bytes > 0 {
            self.crowded = true;
            log::warn!("out of memory with {} in use; components take turns", Bytes(bytes));
        } else if self.model.codec.shrink() {
            log::warn!("out of memory with {} in use; smaller tiles", Bytes(bytes));
        } else {
            return Ok(false);
        }
        self.model.unload();
        self.gpu.finished().await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::ModelFiles;
    use crate::gpu::{DeviceOptions, Gpu};
    use crate::shape::Storage;

    /// A device that refuses to allocate more than `capacity` and whose size is not known.
    fn small(capacity: u64) -> Diffusion {
        let options = DeviceOptions { storage: Some(Storage::F32), ..Default::default() };
        let mut gpu = Gpu::open_blocking(&options).unwrap();
        gpu.capacity = Some(capacity);
        // Of the tiny models, and unlike in the embedded one, the decoder needs most.
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/sd1-tiny");
        let mut diffusion = Diffusion::open(&gpu, &ModelFiles::folder(folder).unwrap()).unwrap();
        diffusion.capacity = None;
        diffusion
    }

    #[test]
    fn what_a_device_refuses_is_given_up_step_by_step() {
        let request = Request::new("a red apple").size(384, 192).steps(1).seed(3);
        let mut large = small(u64::MAX);
        let plan = large.model.memory(&request, large.gpu.target()).unwrap();
        let decoder = plan.stages.last().unwrap().bytes();
        let others = plan.stages.iter().filter(|stage| stage.name != "decoder");
        let denoiser = others.map(|stage| stage.bytes()).max().unwrap();
        assert!(decoder > denoiser, "the decoder is what gets smaller");
        let whole = large.generate_blocking(&request).unwrap();
        assert!(!large.crowded && whole.notes.is_empty());

        // Too small for all together: turns, and the same picture.
        let mut crowded = small(plan.in_turn().midpoint(plan.together()));
        let turns = crowded.generate_blocking(&request).unwrap();
        assert!(crowded.crowded && turns.notes.is_empty(), "{:?}", turns.notes);
        assert!(turns.latents == whole.latents && turns.picture == whole.picture);

        // Too small for the decoder alone: tiles, without computing the latents again.
        let mut tiny = small(decoder.midpoint(denoiser));
        let mut steps = 0;
        let count = |_: &crate::diffusion::Progress| {
            steps += 1;
            std::ops::ControlFlow::Continue(())
        };
        let tiled = tiny.generate_with_blocking(&request, count).unwrap();
        assert!(tiled.notes.iter().any(|note| note.starts_with("decoded in")), "{:?}", tiled.notes);
        assert!(tiled.latents == whole.latents && steps <= 2, "{steps} steps");
        // It is known from now on.
        assert_eq!(tiny.generate_blocking(&request).unwrap().notes, tiled.notes);

        // Too small for anything: the device's error, and no end of attempts.
        let error = small(1 << 20).generate_blocking(&request).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Memory);
        assert!(error.to_string().contains("out of memory"), "{error}");
    }

    #[test]
    fn a_refused_plan_gives_nothing_up() {
        let mut diffusion = small(u64::MAX);
        diffusion.set_memory_budget(Some(1000));
        let request = Request::new("a red apple");
        assert!(diffusion.generate_blocking(&request).is_err());
        assert!(!diffusion.crowded);
        diffusion.set_memory_budget(None);
        assert_eq!(diffusion.memory_budget(), None);
        diffusion.capacity = Some(1000);
        assert_eq!(diffusion.memory_budget(), Some(900));
    }
}
