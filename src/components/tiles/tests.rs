//! The positions of tiles, and the blending of their results.

use super::*;

/// Cuts an image into its tiles and puts it together again, each tile changed on the way.
fn through_tiles(
    tiles: &Tiles,
    image: &[f32],
    channels: usize,
    scale: usize,
    change: impl Fn([usize; 2], f32) -> f32,
) -> Vec<f32> {
    let mut mosaic = Mosaic::new(tiles, channels, scale);
    for row in 0..tiles.rows.starts.len() {
        for column in 0..tiles.columns.starts.len() {
            let mut tile = tiles.crop(image, channels, scale, [row, column]);
            tile.iter_mut().for_each(|value| *value = change([row, column], *value));
            mosaic.add([row, column], &tile);
        }
    }
    mosaic.finish()
}

#[test]
fn tiles_cover_an_axis_and_overlap_by_a_quarter() {
    for len in 1..200 {
        for longest in 1..70 {
            let axis = Axis::new(len, longest, Seam::QUARTER);
            let context = format!("{longest} of {len}: {axis:?}");
            assert!(axis.tile <= longest.min(len), "{context}");
            assert_eq!(axis.starts[0], 0, "{context}");
            assert_eq!(axis.starts.last().unwrap() + axis.tile, len, "{context}");
            for pair in axis.starts.windows(2) {
                let shared = pair[0] + axis.tile - pair[1];
                assert!(
                    pair[1] > pair[0] && (shared >= axis.tile.div_ceil(4) || axis.tile == 1),
                    "{context}"
                );
            }
            assert_eq!(axis.starts.len() == 1, longest >= len, "{context}");
        }
    }
    // 1024 pixels in tiles of 960: two of 592 do, at less work than two of 960.
    let axis = Axis::new(128, 120, Seam::QUARTER);
    assert_eq!((axis.tile, axis.starts), (74, vec![0, 54]));
}

#[test]
fn agreeing_tiles_give_exactly_what_they_agree_on() {
    let (height, width, channels, scale) = (23, 37, 3, 2);
    let len = height * width * channels * scale * scale;
    let image: Vec<f32> = (0..len).map(|i| (i as f32 * 0.7).sin() * 3.0 + 0.1).collect();
    for longest in [5, 8, 11, 16, 30, 64] {
        let tiles = Tiles::new([height, width], longest, Seam::QUARTER);
        assert_eq!(through_tiles(&tiles, &image, channels, scale, |_, v| v), image);
    }
}

#[test]
fn weights_are_ramps_that_sum_to_one() {
    // Tiles of constants 0 and 1: the result is the second one's weight.
    let tiles = Tiles::new([1, 20], 12, Seam::QUARTER);
    assert_eq!(tiles.columns.starts, [0, 8]);
    let image = vec![0.0; 20 * 4];
    let got = through_tiles(&tiles, &image, 4, 1, |[_, column], _| column as f32);
    let got: Vec<_> = got.chunks(4).map(|cell| cell[0]).collect();
    for (cell, value) in got.iter().enumerate() {
        let expected = ((cell as f32 - 7.5) / 4.0).clamp(0.0, 1.0);
        assert!((value - expected).abs() < 1e-6, "{cell}: {value}, expected {expected}");
    }
}

#[test]
fn no_step_between_tiles_of_different_tone() {
    // Neighbours differ by 1 and share at least 4 latents of 8 cells: no two cells next to
    // each other differ by more than the steepest ramps, of rows and of columns, together.
    let tiles = Tiles::new([40, 56], 16, Seam::QUARTER);
    let (height, width) = (40 * 8, 56 * 8);
    let image = vec![0.0; height * width];
    let tone = |[row, column]: [usize; 2], _| ((row + column) % 2) as f32;
    let got = through_tiles(&tiles, &image, 1, 8, tone);
    let steepest = |got: &[f32]| {
        let across = got.chunks(width).flat_map(|row| row.windows(2).map(|w| w[1] - w[0]));
        let down = (width..got.len()).map(|cell| got[cell] - got[cell - width]);
        across.chain(down).fold(0.0, |most: f32, step| most.max(step.abs()))
    };
    assert!(steepest(&got) <= 1.0 / 32.0 + 1e-6, "{}", steepest(&got));
    // Tiles side by side without blending are found out.
    let hard: Vec<f32> = (0..got.len()).map(|cell| (cell % width / 128 % 2) as f32).collect();
    assert_eq!(steepest(&hard), 1.0);
}

#[test]
fn a_value_that_is_not_finite_stays_where_it_is() {
    let tiles = Tiles::new([8, 8], 5, Seam::QUARTER);
    let mut image = vec![1.0; 64];
    image[0] = f32::NAN;
    let got = through_tiles(&tiles, &image, 1, 1, |_, v| v);
    assert!(got[0].is_nan() && got[1..].iter().all(|value| *value == 1.0));
}

#[test]
fn a_margin_does_not_count() {
    // Two tiles of 0 and 1, where the first one's last 3 cells and the second one's first 3 are cut
    // off from what they depend on.
    let seam = Seam::beyond(3);
    let tiles = Tiles::new([1, 50], 40, seam);
    assert_eq!((tiles.size(), &tiles.columns.starts), ([1, 32], &vec![0, 18]));
    let image = vec![0.0; 50];
    let got = through_tiles(&tiles, &image, 1, 1, |[_, column], _| column as f32);
    assert!(got[..21].iter().all(|value| *value == 0.0), "{got:?}");
    assert!(got[29..].iter().all(|value| *value == 1.0), "{got:?}");
    assert!(got[21..29].windows(2).all(|pair| pair[0] < pair[1]), "{got:?}");
    // Tiles that are shorter than the margins need are blended over all that they share.
    let tiles = Tiles::new([1, 20], 12, seam);
    let got = through_tiles(&tiles, &image[..20], 1, 1, |[_, column], _| column as f32);
    assert!(got.iter().all(|value| value.is_finite()), "{got:?}");
    // Values that are not numbers stay within the margin.
    let spoilt = |[_, column]: [usize; 2], _| if column == 0 { f32::NAN } else { 1.0 };
    let tiles = Tiles::new([1, 50], 40, seam);
    let got = through_tiles(&tiles, &image, 1, 1, spoilt);
    assert!(got[29..].iter().all(|value| *value == 1.0), "{got:?}");
}
