//! The GPU layouts of weights, packed from every element type.

use croquis::error::ErrorKind;
use croquis::internal::weights::{
    DataType, Part, Values, WeightFormat, WeightLayout, Weights, pack, packed_len,
};
use half::f16;

use crate::{DTYPES, Random, encode, tensors};

/// The layout by definition: for each packed element its index in the file, `None` for padding.
fn definition(shape: &[usize], layout: WeightLayout) -> Vec<Option<usize>> {
    let pad = |n: usize| n.div_ceil(4) * 4;
    let (o, i, kh, kw) = match *shape {
        [c] => (c, 1, 1, 1),
        [o, i] => (o, i, 1, 1),
        [o, i, kh, kw] => (o, i, kh, kw),
        _ => unreachable!(),
    };
    let rows = match layout {
        WeightLayout::Vector | WeightLayout::Depthwise => 1,
        WeightLayout::Matrix | WeightLayout::Conv => pad(i),
    };
    let mut from = Vec::new();
    for y in 0..kh {
        for x in 0..kw {
            for row in 0..rows {
                for column in 0..pad(o) {
                    let inside = row < i && column < o;
                    from.push(inside.then(|| ((column * i + row) * kh + y) * kw + x));
                }
            }
        }
    }
    from
}

fn layouts() -> Vec<(WeightLayout, Vec<usize>)> {
    use WeightLayout::*;
    let mut cases = Vec::new();
    for c in [1, 3, 4, 5, 63, 64, 65, 320] {
        cases.push((Vector, vec![c]));
        cases.push((Depthwise, vec![c, 1, 3, 3]));
    }
    for (o, i) in [(1, 1), (4, 4), (5, 7), (64, 64), (65, 63), (130, 129), (3, 200), (200, 3)] {
        cases.push((Matrix, vec![o, i]));
        cases.push((Matrix, vec![o, i, 1, 1]));
        cases.push((Conv, vec![o, i, 1, 1]));
        cases.push((Conv, vec![o, i, 3, 3]));
    }
    cases.push((Conv, vec![5, 6, 2, 5]));
    cases.push((Depthwise, vec![9, 1, 5, 2]));
    cases
}

#[test]
fn every_layout_is_its_definition() {
    let mut random = Random(7);
    let mut wrong = Vec::new();
    for (layout, shape) in layouts() {
        let from = definition(&shape, layout);
        assert_eq!(packed_len(&shape, layout).unwrap(), from.len());
        for dtype in DTYPES {
            let (bytes, values) = encode(dtype, &random.floats(shape.iter().product()));
            let weights =
                Weights::from_bytes("a", tensors(&[("w", dtype, &shape, bytes)])).unwrap();
            assert_eq!(weights.shape("w"), Some(&shape[..]));
            assert_eq!(weights.read_f32("w").unwrap(), values);
            for format in WeightFormat::ALL {
                let got = weights.pack("w", layout, format).unwrap();
                let want = from.iter().map(|from| from.map_or(0.0, |from| values[from]));
                let want: Vec<u8> = match format {
                    WeightFormat::F32 => want.flat_map(f32::to_le_bytes).collect(),
                    _ => want.flat_map(|v| f16::from_f32(v).to_le_bytes()).collect(),
                };
                assert_eq!(want.len(), format.bytes(from.len()));
                if got != want {
                    wrong.push(format!("{layout:?} {shape:?} {dtype} {format}"));
                }
                // Written run by run, in parts of any size, every byte is written exactly once.
                for most in [usize::MAX, want.len() - 1, want.len() / 3, 1] {
                    let (mut put, mut times) = (vec![0xaa; got.len()], vec![0; got.len()]);
                    let parts = Part::split(&shape, layout, format, most).unwrap();
                    for part in &parts {
                        let ranges: Vec<_> = part.ranges().collect();
                        let run = |tap: usize, at: usize, run: &[u8]| {
                            let start = ranges[tap].start + at;
                            assert!(start + run.len() <= ranges[tap].end, "beyond the part");
                            put[start..][..run.len()].copy_from_slice(run);
                            times[start..][..run.len()].iter_mut().for_each(|count| *count += 1);
                        };
                        weights.pack_part("w", layout, format, part, run).unwrap();
                    }
                    let largest = parts.iter().map(Part::bytes).max().unwrap();
                    let rows = match layout {
                        WeightLayout::Matrix | WeightLayout::Conv => shape[1].next_multiple_of(4),
                        _ => 1,
                    };
                    let smallest = want.len() / rows;
                    let wrong_parts = put != want || times.iter().any(|count| *count != 1);
                    if wrong_parts || largest > most.max(smallest) {
                        wrong
                            .push(format!("{layout:?} {shape:?} {dtype} {format}, at most {most}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn values_are_read_from_anywhere() {
    let wanted: Vec<f32> = (0..1500).map(|v| v as f32 / 4.0).collect();
    for dtype in DTYPES {
        let (mut bytes, wanted) = encode(dtype, &wanted);
        bytes.insert(0, 0xff); // not aligned
        let kind = match dtype {
            "F32" => DataType::F32,
            "F16" => DataType::F16,
            _ => DataType::Bf16,
        };
        let values = Values::new(kind, &bytes[1..]).unwrap();
        assert_eq!((values.len(), values.is_empty()), (1500, false));
        for (start, len) in [(0, 1500), (1, 1400), (700, 1), (1499, 1), (1490, 10), (3, 0)] {
            let mut out = vec![-1.0; len];
            values.read(start, &mut out);
            assert_eq!(out, wanted[start..start + len], "{dtype} {start} {len}");
        }
        let mut out = [-1.0; 4];
        values.read(1498, &mut out);
        assert_eq!(out, [wanted[1498], wanted[1499], -1.0, -1.0]);
        values.read(usize::MAX, &mut out);
        assert_eq!(out[0], wanted[1498]);
    }
}

#[test]
fn halves_keep_every_bit() {
    // All finite halves: from a file of halves, storage as halves is a copy.
    let bits: Vec<u16> = (0..=u16::MAX).filter(|bits| bits & 0x7c00 != 0x7c00).collect();
    let bytes: Vec<u8> = bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
    let shape = [bits.len()];
    let packed = pack(
        "w",
        Values::new(DataType::F16, &bytes).unwrap(),
        &shape,
        WeightLayout::Vector,
        WeightFormat::Packed,
    )
    .unwrap();
    assert_eq!(packed, bytes);
    // f32 rounds to nearest, ties to even.
    let values = [1.0 + 1.0 / 2048.0, 1.0 + 3.0 / 2048.0, 65504.0, 1e-9];
    let packed =
        pack("w", values[..].into(), &[4], WeightLayout::Vector, WeightFormat::F16).unwrap();
    let halves: Vec<u16> =
        packed.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]])).collect();
    assert_eq!(halves, [0x3c00, 0x3c02, 0x7bff, 0]);
}

#[test]
fn bad_values_are_named() {
    let cases = [
        (f32::NAN, WeightFormat::F32, "w[3, 1, 0, 2]: expected a finite weight, got NaN"),
        (f32::NAN, WeightFormat::F16, "w[3, 1, 0, 2]: expected a finite weight, got NaN"),
        (f32::INFINITY, WeightFormat::F32, "w[3, 1, 0, 2]: expected a finite weight, got inf"),
        (f32::NEG_INFINITY, WeightFormat::Packed, "got -inf"),
        (65505.0, WeightFormat::F16, "expected at most 65504 for 16-bit storage, got 65505"),
        (-70000.0, WeightFormat::Packed, "w[3, 1, 0, 2]: expected at most 65504"),
        (1e30, WeightFormat::F16, "use `--storage f32`"),
    ];
    let shape = [70, 9, 3, 3];
    let mut values = vec![1.0; shape.iter().product()];
    for (value, format, message) in cases {
        values[(3 * 9 + 1) * 9 + 2] = value;
        let (bytes, _) = encode("F32", &values);
        let weights = Weights::from_bytes("m.st", tensors(&[("w", "F32", &shape, bytes)])).unwrap();
        let error = weights.pack("w", WeightLayout::Conv, format).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Weights);
        let text = error.to_string();
        assert!(text.starts_with("m.st: w[") && text.contains(message), "{message}: {text}");
    }
    values[(3 * 9 + 1) * 9 + 2] = 1e30;
    assert!(pack("w", values[..].into(), &shape, WeightLayout::Conv, WeightFormat::F32).is_ok());
}

#[test]
fn bad_shapes_are_named() {
    use WeightLayout::*;
    let max = usize::MAX;
    let cases: &[(WeightLayout, &[usize], &str)] = &[
        (Vector, &[], "expected a weight of shape [C] for Vector, got []"),
        (Vector, &[2, 2], "got [2, 2]"),
        (Vector, &[0], "got [0]"),
        (Vector, &[max], "got ["),
        (Matrix, &[4], "[O, I] or [O, I, 1, 1]"),
        (Matrix, &[4, 4, 3, 3], "got [4, 4, 3, 3]"),
        (Matrix, &[0, max], "got [0"),
        (Matrix, &[max / 8, 8], "got ["),
        (Conv, &[4, 4], "expected a weight of shape [O, I, kh, kw] for Conv, got [4, 4]"),
        (Conv, &[1, 1, max, max], "got ["),
        (Conv, &[1, 1, 0, 3], "got ["),
        (Conv, &[max, max, 1, 1], "got ["),
        (Depthwise, &[4, 2, 3, 3], "[C, 1, kh, kw]"),
    ];
    for (layout, shape, message) in cases {
        let error = packed_len(shape, *layout).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Weights);
        assert!(error.to_string().contains(message), "{message}: {error}");
        let error = pack("a.b", [][..].into(), shape, *layout, WeightFormat::F32).unwrap_err();
        assert!(error.to_string().starts_with("a.b: expected a weight of shape"), "{error}");
    }
    let error = pack("a.b", [1.0; 3][..].into(), &[4], Vector, WeightFormat::F32).unwrap_err();
    assert_eq!(error.to_string(), "a.b: expected 4 values for [4], got 3");
}
