//! Picture files of many kinds, against what Pillow reads from them (`tests/golden/make_pictures.py`),
//! and files that are damaged or claim to be huge.

use croquis::ErrorKind;
use croquis::picture::{Decoded, Picture, settings_text};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pictures")
}

fn golden() -> Vec<(String, Value)> {
    let text = std::fs::read_to_string(folder().join("golden.json")).expect("golden.json");
    let files: serde_json::Map<String, Value> = serde_json::from_str(&text).expect("JSON");
    files.into_iter().collect()
}

/// How far each byte may be from Pillow's: decoders of JPEG round differently, and
/// interpolate colours of half the resolution differently.
fn tolerance(name: &str) -> u8 {
    match name {
        "half-colours.jpg" => 4,
        _ if name.ends_with(".jpg") => 1,
        _ => 0,
    }
}

/// The problem with a picture that was read, if there is one.
fn problem(picture: &Picture, expected: &Value, tolerance: u8) -> Option<String> {
    let size = [picture.width(), picture.height()].map(|side| side as u64);
    let wanted = ["width", "height"].map(|side| expected[side].as_u64().expect("a number"));
    if size != wanted {
        return Some(format!("expected {wanted:?} pixels, got {size:?}"));
    }
    let values = expected["rgb"].as_array().expect("values").iter();
    let values = values.map(|value| value.as_u64().expect("a byte") as u8);
    let worst = values.zip(picture.rgb()).map(|(a, b)| a.abs_diff(*b)).max()?;
    (worst > tolerance).then(|| format!("up to {worst} steps differ"))
}

#[test]
fn pictures_are_read_as_by_pillow() {
    let mut found = Vec::new();
    for (name, expected) in golden() {
        match Picture::open(folder().join(&name)) {
            Ok(picture) => {
                let problem = problem(&picture, &expected, tolerance(&name));
                found.extend(problem.map(|problem| format!("{name}: {problem}")));
            }
            Err(error) => found.push(error.to_string()),
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    // The comparison sees a picture that was not turned.
    let (_, expected) = golden().into_iter().find(|(n, _)| n == "orientation-3.png").expect("it");
    let upright = Picture::open(folder().join("orientation-1.png")).expect("a picture");
    assert!(problem(&upright, &expected, 4).is_some());
}

#[test]
fn transparency_is_told() {
    for (name, transparent) in
        [("rgb.png", false), ("rgba.png", true), ("palette.png", true), ("lossless.webp", false)]
    {
        let decoded = Decoded::open(folder().join(name)).expect("a picture");
        assert_eq!(decoded.transparent, transparent, "{name}");
    }
}

#[test]
fn settings_are_read_in_every_form() {
    let mut seen = 0;
    for (name, expected) in golden() {
        let bytes = std::fs::read(folder().join(&name)).expect("a file");
        let text = settings_text(&bytes).expect("a picture");
        assert_eq!(text.as_deref(), expected["settings"].as_str(), "{name}");
        seen += usize::from(text.is_some());
    }
    assert!(seen >= 9);
}

/// A PNG's chunk.
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    let mut sum = flate2::Crc::new();
    sum.update(&body);
    [&(data.len() as u32).to_be_bytes(), &body[..], &sum.sum().to_be_bytes()].concat()
}

/// A PNG without pixels whose header claims a size, a colour type and bits a sample.
fn claims(width: u32, height: u32, colour: u8, bits: u8) -> Vec<u8> {
    let sides = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let header = [&sides[..], &[bits, colour, 0, 0, 0]].concat();
    let pieces = [chunk(b"IHDR", &header), chunk(b"IDAT", &[]), chunk(b"IEND", &[])].concat();
    [b"\x89PNG\r\n\x1a\n", &pieces[..]].concat()
}

/// A JPEG whose frame header claims two sides.
fn jpeg_that_claims(side: u16) -> Vec<u8> {
    let mut jpeg = std::fs::read(folder().join("baseline.jpg")).expect("a file");
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).expect("a frame header");
    for at in [frame + 5, frame + 7] {
        jpeg[at..at + 2].copy_from_slice(&side.to_be_bytes());
    }
    jpeg
}

#[test]
fn claimed_sizes_are_checked_before_memory_is_taken() {
    let limit = "expected a picture of up to 16384 pixels a side, got ";
    for (width, height) in [(100_000, 100_000), (24_000, 24_000), (16_385, 1), (1, 0x7fff_ffff)] {
        let bytes = claims(width, height, 2, 16);
        for error in [Picture::read(&bytes).map(drop), settings_text(&bytes).map(drop)] {
            let error = error.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert_eq!(error.to_string(), format!("{limit}{width}x{height}"));
        }
    }
    let error = Picture::read(&claims(16_384, 16_384, 6, 16)).unwrap_err();
    assert!(error.to_string().contains("2147483648 bytes of samples"), "{error}");
    let error = Picture::read(&claims(300, 200, 2, 8)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format, "{error}");
    // JPEG has no sides above 65535: the frame header of a picture, changed.
    let error = Picture::read(&jpeg_that_claims(65_500)).unwrap_err();
    assert_eq!(error.to_string(), format!("{limit}65500x65500"));
}

#[test]
fn damaged_files_are_errors_not_panics() {
    for (name, _) in golden() {
        let whole = std::fs::read(folder().join(&name)).expect("a file");
        for length in 0..whole.len() {
            let cut = &whole[..length];
            // Some decoders accept a file whose last bytes are missing.
            let (_, _) = (Picture::read(cut), settings_text(cut));
            assert!(length > 11 || Picture::read(cut).is_err(), "{name}: {length}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            let (_, _) = (Picture::read(&damaged), settings_text(&damaged));
        }
    }
    let error = Picture::read(b"GIF89a, and so on").unwrap_err();
    assert!(error.to_string().contains("expected PNG, JPEG or WebP, got Gif"), "{error}");
}

/// A WebP piece that claims to be larger than the file.
#[test]
fn a_webp_that_ends_early() {
    let whole = std::fs::read(folder().join("settings.webp")).expect("a file");
    let at = whole.windows(4).position(|name| name == b"EXIF").expect("a piece");
    let mut claims = whole.clone();
    claims[at + 4..at + 8].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    for error in [Picture::read(&claims).map(drop), settings_text(&claims).map(drop)] {
        let error = error.unwrap_err();
        assert!(error.to_string().starts_with("this WebP ends early"), "{error}");
    }
}

/// Memory that is missing is an error; the process is limited by the shell.
#[test]
#[cfg(target_os = "linux")]
fn missing_memory_is_an_error() {
    const CHILD: &str = "CROQUIS_TEST_MISSING_MEMORY";
    if std::env::var_os(CHILD).is_some() {
        let pngs = [claims(16_384, 16_384, 6, 8), claims(16_384, 16_384, 2, 8)];
        for bytes in [&pngs[..], &[jpeg_that_claims(8_000), jpeg_that_claims(16_000)]].concat() {
            let error = Picture::read(&bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.to_string().contains("bytes of memory"), "{error}");
        }
        return;
    }
    let program = std::env::current_exe().expect("this program");
    let script = "ulimit -v 500000; exec \"$0\" --exact reading::missing_memory_is_an_error --test-threads 1";
    let mut shell = std::process::Command::new("sh");
    let output = shell.args(["-c", script]).arg(program).env(CHILD, "1").output().expect("sh");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}
