//! Views of tensors: renamed, sliced, transposed.

use croquis::error::ErrorKind;
use croquis::internal::weights::{View, WeightFormat, WeightLayout, Weights};

use crate::fuzz::Random;
use crate::quantised::golden;
use crate::{encode, tensors};

fn matrix(rows: usize, columns: usize) -> (Weights, Vec<f32>) {
    let (bytes, values) = encode("F16", &Random(3).floats(rows * columns));
    let file = tensors(&[("w", "F16", &[rows, columns], bytes)]);
    (Weights::from_bytes("m", file).unwrap(), values)
}

fn view(weights: Weights, view: View) -> croquis::Result<Weights> {
    weights.map_names(|name, _| vec![(name.into(), view.clone())])
}

#[test]
fn a_transpose_is_read_as_one() {
    let (rows, columns) = (70, 67);
    let (weights, values) = matrix(rows, columns);
    let turned: Vec<f32> = (0..columns)
        .flat_map(|c| (0..rows).map(move |r| (c, r)))
        .map(|(c, r)| values[r * columns + c])
        .collect();
    let file: Vec<u8> = turned.iter().flat_map(|v| v.to_le_bytes()).collect();
    let wanted = tensors(&[("w", "F32", &[columns, rows], file)]);
    let wanted = Weights::from_bytes("m", wanted).unwrap();

    let transposed = view(weights.clone(), View::Transposed).unwrap();
    assert_eq!(transposed.shape("w"), Some(&[columns, rows][..]));
    assert_eq!(transposed.read_f32("w").unwrap(), turned);
    let mut part = [0.0; 100];
    transposed.values("w").unwrap().read(33, &mut part);
    assert_eq!(part, turned[33..133]);
    for format in WeightFormat::ALL {
        let pack = |weights: &Weights| weights.pack("w", WeightLayout::Matrix, format).unwrap();
        assert!(pack(&transposed) == pack(&wanted));
        assert!(pack(&transposed) != pack(&weights));
    }
    let twice = view(transposed, View::Transposed).unwrap();
    assert_eq!(twice.read_f32("w").unwrap(), values);
}

#[test]
fn rows_are_parts_of_a_tensor() {
    let (weights, values) = matrix(9, 5);
    let parts = weights.map_names(|_, shape| {
        assert_eq!(shape, [9, 5]);
        let rows = [("q", 0..3), ("k", 3..9), ("none", 9..9)];
        rows.map(|(name, rows)| (name.into(), View::Rows(rows))).into()
    });
    let parts = parts.unwrap();
    assert_eq!(parts.read_f32("q").unwrap(), values[..15]);
    assert_eq!(parts.read_f32("k").unwrap(), values[15..]);
    assert_eq!(parts.shape("none"), Some(&[0, 5][..]));
    let turned = parts.map_names(|name, _| vec![(name.into(), View::Transposed)]).unwrap();
    assert_eq!(turned.read_f32("k").unwrap()[..2], [values[15], values[20]]);
}

#[test]
fn rows_of_quantised_blocks() {
    let weights = Weights::open(golden("types.gguf")).unwrap();
    let all = weights.read_f32("q5_1").unwrap();
    let part = |name: &str, rows: std::ops::Range<usize>| {
        weights.clone().map_names(|other, _| match other == name {
            true => vec![("part".into(), View::Rows(rows.clone()))],
            false => Vec::new(),
        })
    };
    assert_eq!(part("q5_1", 1..3).unwrap().read_f32("part").unwrap(), all[64..]);
    // 8·3·3 is no multiple of 32.
    let error = part("reshaped", 0..1).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Weights);
    let text = error.to_string();
    assert!(text.contains("reshaped: expected q4_0 rows of a multiple of 32 values"), "{text}");

    let turned = view(weights.clone(), View::Transposed);
    assert!(turned.err().unwrap().to_string().contains("expected a matrix"));
    let turned = weights.map_names(|name, shape| match shape.len() {
        2 => vec![(name.into(), View::Transposed)],
        _ => Vec::new(),
    });
    let turned = turned.unwrap().read_f32("q5_1").unwrap();
    assert_eq!((turned[1], turned[3]), (all[64], all[1]));
}

#[test]
fn bad_views_are_refused() {
    let cases = [
        (View::Rows(0..10), "m: w: expected rows 0..10, got a shape of [9, 5]"),
        (View::Rows(std::ops::Range { start: 3, end: 2 }), "expected rows 3..2"),
    ];
    for (bad, message) in cases {
        let error = view(matrix(9, 5).0, bad).err().unwrap();
        assert!(error.to_string().contains(message), "{error}");
    }
    let turned = view(matrix(9, 5).0, View::Transposed).unwrap();
    let error = view(turned, View::Rows(0..2)).err().unwrap();
    assert!(error.to_string().contains("that is not transposed"), "{error}");
    let scalar = Weights::from_bytes("m", tensors(&[("w", "F32", &[], vec![0; 4])])).unwrap();
    let error = view(scalar, View::Rows(0..0)).err().unwrap();
    assert!(error.to_string().contains("expected rows, got a shape of []"), "{error}");
    let error = matrix(9, 5).0.map_names(|_, _| vec![("a".into(), View::Whole); 2]).err().unwrap();
    assert!(error.to_string().contains("expected one tensor that becomes a"), "{error}");
}

#[test]
fn prefixes_and_metadata() {
    let (weights, values) = matrix(2, 2);
    assert_eq!(weights.metadata().get("format").map(String::as_str), Some("pt"));
    let both = weights.clone().prefixed("a.").merge(weights.prefixed("b.")).unwrap();
    assert_eq!(both.names().collect::<Vec<_>>(), ["a.w", "b.w"]);
    assert_eq!(both.read_f32("b.w").unwrap(), values);
    assert_eq!(both.metadata().len(), 1);
}

#[test]
fn scalars_are_floats_or_integers() {
    let file = tensors(&[
        ("i64", "I64", &[], (-3i64).to_le_bytes().into()),
        ("f16", "F16", &[1], encode("F16", &[0.5]).0),
        ("f64", "F64", &[], 0.25f64.to_le_bytes().into()),
        ("two", "F32", &[2], vec![0; 8]),
        ("bool", "BOOL", &[], vec![0]),
    ]);
    let weights = Weights::from_bytes("m", file).unwrap();
    for (name, number) in [("i64", -3.0), ("f16", 0.5), ("f64", 0.25)] {
        assert_eq!(weights.scalar(name).unwrap(), number);
    }
    let error = weights.scalar("two").unwrap_err();
    assert_eq!(error.to_string(), "m: two: expected one number, got [2]");
    assert!(weights.scalar("bool").is_err() && weights.scalar("none").is_err());
}
