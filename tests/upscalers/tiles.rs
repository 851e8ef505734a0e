//! Pictures in tiles against the whole, progress, cancellation, memory.

use crate::common;
use crate::golden::{picture, upscaler, waves};
use croquis::ErrorKind;
use croquis::diffusion::Tiling;
use std::ops::ControlFlow;

#[test]
fn tiles_of_a_compact_network_are_exact() {
    let large = waves(70, 61);
    for gpu in common::gpus() {
        for case in ["compact-x4", "compact-x3"] {
            let mut upscaler = upscaler(gpu, case);
            upscaler.set_tiling(Tiling::Never).unwrap();
            let whole = upscaler.upscale_blocking(&large).unwrap();
            upscaler.set_tiling(Tiling::Always(40)).unwrap();
            let mut tiles = 0;
            let tiled = upscaler.upscale_with_blocking(&large, |progress| {
                (tiles, _) = (progress.tiles, assert!(progress.tile <= progress.tiles));
                ControlFlow::Continue(())
            });
            let quality = common::psnr(tiled.unwrap().rgb(), whole.rgb());
            println!("{case}, {}: {tiles} tiles, {quality:.1} dB", common::name(gpu));
            assert!(tiles >= 6 && quality > 60.0, "{case}: {tiles} tiles, {quality:.1} dB");
        }
    }
}

#[test]
fn tiles_of_esrgan_are_close() {
    let gpu = &common::gpus()[0];
    let large = waves(201, 64);
    let mut upscaler = upscaler(gpu, "esrgan-x2");
    upscaler.set_tiling(Tiling::Never).unwrap();
    let whole = upscaler.upscale_blocking(&large).unwrap();
    let [long, short] = [128, 16].map(|side| {
        upscaler.set_tiling(Tiling::Always(side)).unwrap();
        let tiled = upscaler.upscale_blocking(&large).unwrap();
        assert_eq!((tiled.width(), tiled.height()), (402, 128));
        common::psnr(tiled.rgb(), whole.rgb())
    });
    println!("tiles of 128 and 16 pixels: {long:.1} and {short:.1} dB");
    // Tiles that are too short for their margins are told from the whole.
    assert!(long > 55.0 && short < 40.0, "{long:.1} and {short:.1} dB");
}

#[test]
fn a_budget_makes_tiles_and_too_small_a_one_is_refused() {
    let gpu = &common::gpus()[0];
    let large = waves(160, 120);
    let mut upscaler = upscaler(gpu, "compact-x4");
    let whole = upscaler.upscale_blocking(&large).unwrap();
    let mut tiles_within = |bytes: u64| {
        upscaler.set_memory_budget(Some(bytes));
        let mut tiles = 0;
        let upscaled = upscaler.upscale_with_blocking(&large, |progress| {
            tiles = progress.tiles;
            ControlFlow::Continue(())
        });
        upscaled.map(|upscaled| (tiles, common::psnr(upscaled.rgb(), whole.rgb())))
    };
    assert_eq!(tiles_within(1 << 30).unwrap().0, 1);
    let (few, quality) = tiles_within(6 << 20).unwrap();
    let (more, _) = tiles_within(2 << 20).unwrap();
    assert!(few > 1 && more > few && quality > 60.0, "{few} {more} tiles, {quality:.1} dB");
    let refused = tiles_within(10_000).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Memory);
    let message = refused.to_string();
    assert!(message.contains("32x") && message.contains("the upscaler needs"), "{message}");
}

#[test]
fn work_stops_after_a_tile_and_starts_again() {
    let gpu = &common::gpus()[0];
    let large = waves(80, 40);
    let mut upscaler = upscaler(gpu, "compact-x1");
    upscaler.set_tiling(Tiling::Always(32)).unwrap();
    let mut told = 0;
    let stopped = upscaler.upscale_with_blocking(&large, |progress| {
        told += 1;
        if progress.tile == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let stopped = stopped.unwrap_err();
    assert_eq!((stopped.kind(), told), (ErrorKind::Cancelled, 2));
    assert!(stopped.to_string().contains("stopped after tile 2 of 8"), "{stopped}");
    assert!(upscaler.upscale_blocking(&large).is_ok());
}

#[test]
fn small_pictures_and_impossible_ones() {
    let gpu = &common::gpus()[0];
    for case in ["esrgan-x2", "esrgan-x1", "compact-x3"] {
        let mut upscaler = upscaler(gpu, case);
        for (width, height) in [(1, 1), (2, 5), (7, 1)] {
            let small = picture(width, height, &vec![0.4; 3 * width * height]);
            let upscaled = upscaler.upscale_blocking(&small).unwrap();
            let scale = upscaler.scale();
            assert_eq!((upscaled.width(), upscaled.height()), (scale * width, scale * height));
        }
    }
    let mut upscaler = upscaler(gpu, "esrgan-x8");
    let wide = picture(5000, 1, &vec![0.4; 3 * 5000]);
    let refused = upscaler.upscale_blocking(&wide).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Argument);
    assert!(refused.to_string().contains("40000x8"), "{refused}");
    assert_eq!(upscaler.set_tiling(Tiling::Always(3)).unwrap_err().kind(), ErrorKind::Argument);
}
