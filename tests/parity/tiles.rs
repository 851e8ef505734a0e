//! Tiled decoding and encoding against the untiled results.

use crate::{bytes, common, path, to_bytes};
use croquis::Storage;
use croquis::diffusion::{Diffusion, Request, Tiling};
use croquis::files::ModelFiles;
use croquis::gpu::Gpu;
use croquis::picture::Picture;
use safetensors::SafeTensors;

/// A 192x128 montage of the embedded model's golden picture, mirrored and shifted by half, so that
/// tile borders cut through it.
fn montage() -> Picture {
    let file = bytes("models/emoji-64/golden/golden.safetensors");
    let golden = SafeTensors::deserialize(&file).unwrap();
    let (shape, image) = common::golden(&golden, "image");
    let small = to_bytes(&common::nhwc(&shape, &image));
    let mirrored = |at: usize| (at % 128).min(127 - at % 128);
    let pixel =
        |x: usize, y: usize| small[3 * (64 * mirrored(y + 32) + mirrored(x + 32))..][..3].to_vec();
    let rgb = (0..128).flat_map(|y| (0..192).flat_map(move |x| pixel(x, y))).collect();
    Picture::new(192, 128, rgb).unwrap()
}

/// Latents of a picture and picture of the latents, untiled and in tiles of 64 pixels.
fn both_ways(gpu: &Gpu, files: &ModelFiles, picture: &Picture) -> [(Vec<f32>, Picture); 2] {
    let mut diffusion = Diffusion::open(gpu, files).unwrap();
    let (width, height) = (picture.width() / 8, picture.height() / 8);
    let latents = gpu.block_on(diffusion.encode(picture)).unwrap();
    [Tiling::Never, Tiling::Always(64)].map(|tiling| {
        diffusion.set_tiling(tiling).unwrap();
        let encoded = gpu.block_on(diffusion.encode(picture)).unwrap();
        (encoded, gpu.block_on(diffusion.decode(&latents, height, width)).unwrap())
    })
}

/// The mean change of two pictures' difference between neighbouring columns of pixels.
fn steps(a: &Picture, b: &Picture) -> Vec<f64> {
    let difference = |x: usize, y: usize, colour: usize| {
        let at = 3 * (y * a.width() + x) + colour;
        f64::from(a.rgb()[at]) - f64::from(b.rgb()[at])
    };
    let step = |x: usize| {
        let rows = (0..a.height()).flat_map(|y| [0, 1, 2].map(|colour| (y, colour)));
        let changes = rows.map(|(y, c)| (difference(x, y, c) - difference(x - 1, y, c)).abs());
        changes.sum::<f64>() / (3 * a.height()) as f64
    };
    (1..a.width()).map(step).collect()
}

/// The ratio of the changes at tile borders to those elsewhere.
fn seam(steps: &[f64], borders: &[usize]) -> f64 {
    let mean = |at: &mut dyn Iterator<Item = f64>| {
        let values: Vec<_> = at.collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let border = mean(&mut borders.iter().map(|x| steps[x - 1]));
    border / mean(&mut steps.iter().copied())
}

#[test]
fn tiles_leave_no_seams() {
    let gpu = common::gpus().iter().find(|gpu| gpu.target().storage == Storage::F32).unwrap();
    let picture = montage();
    let [(whole_latents, whole), (tiled_latents, tiled)] =
        both_ways(gpu, &ModelFiles::embedded(), &picture);
    // 24 latents in tiles of 8 that begin at 0, 5, 10 and 16: where they begin and end.
    let borders = [40, 64, 80, 104, 128, 144];
    let smooth = seam(&steps(&tiled, &whole), &borders);
    let quality = common::psnr(tiled.rgb(), whole.rgb());

    // The same tiles side by side without blending.
    let mut diffusion = Diffusion::open(gpu, &ModelFiles::embedded()).unwrap();
    let latents = gpu.block_on(diffusion.encode(&picture)).unwrap();
    let mut rgb = vec![0; whole.rgb().len()];
    for (row, column) in (0..2).flat_map(|row| (0..3).map(move |column| (row, column))) {
        let channels = latents.chunks_exact(24 * 16);
        let crop = |plane: &[f32]| {
            (0..8).flat_map(|y| plane[(row * 8 + y) * 24 + column * 8..][..8].to_vec()).collect()
        };
        let tile: Vec<f32> = channels.flat_map(|plane| -> Vec<f32> { crop(plane) }).collect();
        let tile = gpu.block_on(diffusion.decode(&tile, 8, 8)).unwrap();
        for (y, line) in tile.rgb().chunks_exact(3 * 64).enumerate() {
            rgb[3 * (192 * (row * 64 + y) + column * 64)..][..line.len()].copy_from_slice(line);
        }
    }
    let cut = Picture::new(192, 128, rgb).unwrap();
    let hard = seam(&steps(&cut, &whole), &[64, 128]);
    let error = common::relative_l2(&tiled_latents, &whole_latents);
    println!("steps at borders: {smooth:.2}, cut {hard:.2}; {quality:.1} dB, latents {error:.2e}");
    assert!(smooth < 2.0, "steps at the borders are {smooth:.2} times those elsewhere");
    assert!(quality > 28.0 && error < 0.15, "{quality:.1} dB, latents {error:.2e}");
    assert!(hard > 4.0, "tiles without blending were not found: {hard:.2}");
}

#[test]
fn tiles_on_every_device() {
    let files = ModelFiles::folder(path("tests/golden/sd1-tiny")).unwrap();
    let smooth = |at: usize| ((at as f32 * 0.05).sin() * 60.0 + 128.0) as u8;
    let rgb =
        (0..96).flat_map(|y| (0..128).flat_map(move |x| [smooth(x), smooth(y), 90])).collect();
    let picture = Picture::new(128, 96, rgb).unwrap();
    let mut first: Option<(Vec<f32>, Picture)> = None;
    let gpus = common::gpus();
    for gpu in gpus.iter().rev() {
        // Weights without knowledge: tiles and the whole have little in common, devices do.
        let [(_, whole), (latents, tiled)] = both_ways(gpu, &files, &picture);
        let (expected_latents, expected) = first.get_or_insert((latents.clone(), tiled.clone()));
        let exact = gpu.target().storage == Storage::F32;
        let (least, most) = if exact { (60.0, 1e-4) } else { (40.0, 1e-2) };
        let quality = common::psnr(tiled.rgb(), expected.rgb());
        let error = common::relative_l2(&latents, expected_latents);
        let name = common::name(gpu);
        assert!(quality > least && error < most, "{name}: {quality:.1} dB, latents {error:.2e}");
        let wrong = common::psnr(whole.rgb(), expected.rgb());
        assert!(wrong < 40.0, "{name}: {wrong:.1} dB without tiles");
    }
    assert_eq!(gpus.last().unwrap().target().storage, Storage::F32, "what others are compared to");
}

#[test]
fn a_run_says_that_it_was_tiled() {
    let gpu = &common::gpus()[0];
    let mut diffusion = Diffusion::open(gpu, &ModelFiles::embedded()).unwrap();
    let picture = montage();
    let request = Request::new("a red apple").steps(2).image(picture, 0.5);
    let whole = diffusion.generate_blocking(&request).unwrap();
    assert!(whole.notes.is_empty(), "{:?}", whole.notes);
    // Of its own accord, where buffers for the whole picture are too much.
    let plans = diffusion.plans(&request).unwrap();
    let (_, decoder) = plans.iter().find(|(name, _)| *name == "decoder").unwrap();
    diffusion.set_codec_budget(Some(decoder.activation_bytes() - 1));
    diffusion.set_storage(gpu.target().storage).unwrap();
    let tiled = diffusion.generate_blocking(&request).unwrap();
    let decoded = tiled.notes.iter().find(|note| note.starts_with("decoded in 2x1 tiles"));
    assert!(decoded.is_some(), "{:?}", tiled.notes);
    assert_eq!((tiled.picture.width(), tiled.picture.height()), (192, 128));
}
