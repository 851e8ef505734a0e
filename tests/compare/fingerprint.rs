//! Prints a fingerprint of the latents and of the picture for each model and storage type, so that two
//! revisions of the library can be compared bit by bit; see `compare.sh`.

use croquis::{DeviceOptions, Diffusion, Gpu, ModelFiles, Request, Storage};

/// FNV-1a, 64 bits.
fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn main() -> croquis::Result<()> {
    for storage in Storage::ALL {
        let options = DeviceOptions { storage: Some(storage), ..Default::default() };
        let gpu = Gpu::open_blocking(&options)?;
        for model in std::env::args().skip(1) {
            let (files, size) = match model.as_str() {
                "embedded" => (ModelFiles::embedded(), 64),
                folder => (ModelFiles::open(folder)?, 96),
            };
            let mut diffusion = Diffusion::open(&gpu, &files)?;
            for (prompt, guidance) in [("a red apple", 5.0), ("(a green pear:1.3)", 1.0)] {
                let request = Request::new(prompt).seed(7).steps(4).size(size, size);
                let request = request.guidance_scale(guidance);
                let drawn = diffusion.generate_blocking(&request)?;
                let latents = hash(drawn.latents.iter().flat_map(|value| value.to_le_bytes()));
                let picture = hash(drawn.picture.rgb().iter().copied());
                let used = diffusion.gpu().target().storage;
                let name = model.rsplit('/').next().unwrap_or_default();
                println!("{name} {storage} (used {used}) {prompt}: latents {latents:016x}, picture {picture:016x}");
            }
        }
    }
    Ok(())
}
