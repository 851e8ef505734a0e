//! Low-rank patches against their definition.

use std::collections::BTreeMap;

use croquis::error::ErrorKind;
use croquis::internal::weights::{LowRank, Patch, View, WeightFormat, WeightLayout, Weights};

use crate::fuzz::Random;
use crate::{encode, tensors};

/// W + Σ scale·up·down in f64.
fn definition(
    weight: &[f32],
    columns: usize,
    patches: &[(Vec<f32>, Vec<f32>, usize, f32)],
) -> Vec<f32> {
    let mut sum: Vec<f64> = weight.iter().map(|&w| w.into()).collect();
    for (up, down, rank, scale) in patches {
        for (i, sum) in sum.iter_mut().enumerate() {
            let (o, c) = (i / columns, i % columns);
            let product: f64 = (0..*rank)
                .map(|r| f64::from(up[o * rank + r]) * f64::from(down[r * columns + c]))
                .sum();
            *sum += f64::from(*scale) * product;
        }
    }
    sum.into_iter().map(|sum| sum as f32).collect()
}

fn farthest(got: &[f32], wanted: &[f32]) -> f32 {
    assert_eq!(got.len(), wanted.len());
    got.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn products_are_added() {
    let mut random = Random(11);
    for (shape, layout) in [
        (vec![130, 67], WeightLayout::Matrix),
        (vec![5, 300, 1, 1], WeightLayout::Matrix),
        (vec![70, 9, 3, 3], WeightLayout::Conv),
        (vec![9, 1, 3, 3], WeightLayout::Depthwise),
        (vec![70], WeightLayout::Vector),
    ] {
        let count: usize = shape.iter().product();
        let (rows, columns) = (shape[0], count / shape[0]);
        let (bytes, weight) = encode("F16", &random.floats(count));
        let file = tensors(&[("w", "F16", &shape, bytes)]);
        let mut weights = Weights::from_bytes("m", file).unwrap();
        let plain: Vec<_> =
            WeightFormat::ALL.map(|format| weights.pack("w", layout, format).unwrap()).into();
        let parts: Vec<_> = [(1, 0.5), (5, -0.25)]
            .into_iter()
            .map(|(rank, scale)| {
                (random.floats(rows * rank), random.floats(rank * columns), rank, scale)
            })
            .collect();
        let patches = parts.iter().map(|(up, down, rank, scale)| {
            LowRank::new(up.clone(), down.clone(), *rank, *scale).unwrap().into()
        });
        let patches = BTreeMap::from([("w".to_string(), patches.collect())]);
        weights.set_patches(patches).unwrap();

        let wanted = definition(&weight, columns, &parts);
        let got = weights.read_f32("w").unwrap();
        // Sums of 7 products below 16, in f32.
        assert!(farthest(&got, &wanted) < 2e-5, "{shape:?}: {}", farthest(&got, &wanted));
        let missing = definition(&weight, columns, &parts[..1]);
        assert!(farthest(&got, &missing) > 1.0, "one product less is found");

        // Packing the patched weights equals packing an unpatched file with the same values, bit
        // for bit.
        let bytes = encode("F32", &got).0;
        let merged = Weights::from_bytes("m", tensors(&[("w", "F32", &shape, bytes)])).unwrap();
        for (format, plain) in WeightFormat::ALL.into_iter().zip(plain) {
            let packed = weights.pack("w", layout, format).unwrap();
            assert!(packed == merged.pack("w", layout, format).unwrap(), "{shape:?} {format:?}");
            assert!(packed != plain);
            let mut removed = weights.clone();
            removed.set_patches(BTreeMap::new()).unwrap();
            assert!(removed.pack("w", layout, format).unwrap() == plain);
        }
    }
}

#[test]
fn patches_follow_views_and_names() {
    let (bytes, weight) = encode("F32", &Random(5).floats(15));
    let weights = Weights::from_bytes("m", tensors(&[("w", "F32", &[5, 3], bytes)])).unwrap();
    let mut turned = weights.map_names(|_, _| vec![("w".into(), View::Transposed)]).unwrap();
    let patch = LowRank::new([0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0], 1, 2.0).unwrap();
    assert_eq!((patch.shape(), patch.rank(), patch.scale()), ([3, 5], 1, 2.0));
    turned.set_patches(BTreeMap::from([("w".into(), vec![patch.into()])])).unwrap();
    let renamed = turned.clone().prefixed("a.").without_prefix("a.").unwrap().prefixed("b.");
    let got = renamed.read_f32("b.w").unwrap();
    assert_eq!((got[9], got[8]), (weight[4 * 3 + 1] + 2.0, weight[3 * 3 + 1]));
    let error = turned.map_names(|_, _| vec![("w".into(), View::Rows(0..1))]).err().unwrap();
    assert!(error.to_string().contains("without patches"), "{error}");
}

#[test]
fn bad_patches_are_refused() {
    for (up, down, rank, scale, message) in [
        (vec![1.0; 4], vec![1.0; 6], 0, 1.0, "expected up as a matrix of rank 0, got 4 values"),
        (vec![1.0; 5], vec![1.0; 6], 2, 1.0, "expected up as a matrix of rank 2, got 5 values"),
        (vec![1.0; 4], vec![1.0; 7], 2, 1.0, "expected down as a matrix of rank 2, got 7 values"),
        (vec![1.0; 4], vec![], 2, 1.0, "got 0 values"),
        (vec![f32::NAN; 4], vec![1.0; 6], 2, 1.0, "expected finite values in up, got NaN"),
        (vec![1.0; 4], vec![1.0; 6], 2, f32::INFINITY, "expected a finite scale, got inf"),
    ] {
        let error = LowRank::new(up, down, rank, scale).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Weights);
        assert!(error.to_string().contains(message), "{message}: {error}");
    }
    let file = tensors(&[("w", "F32", &[2, 3], vec![0; 24]), ("s", "F32", &[], vec![0; 4])]);
    let mut weights = Weights::from_bytes("m", file).unwrap();
    let patch = |rows, columns| {
        Patch::from(LowRank::new(vec![1.0; rows], vec![1.0; columns], 1, 1.0).unwrap())
    };
    weights.set_patches(BTreeMap::from([("w".into(), vec![patch(2, 3)])])).unwrap();
    for (name, bad, message) in [
        (
            "w",
            patch(3, 2),
            "m: w: expected a patch for a weight of shape [2, 3], got one of [3, 2]",
        ),
        ("s", patch(1, 1), "m: s: expected a patch for a weight of shape [], got one of [1, 1]"),
        ("v", patch(1, 1), "m: expected a tensor v, got none of that name"),
    ] {
        let patches = BTreeMap::from([(name.to_string(), vec![bad])]);
        let error = weights.set_patches(patches).unwrap_err();
        assert_eq!((error.kind(), &*error.to_string()), (ErrorKind::Weights, message));
    }
    // The patch set before is kept.
    assert_eq!(weights.read_f32("w").unwrap(), [1.0; 6]);
}
