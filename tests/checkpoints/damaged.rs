//! Files with randomly changed headers: they give an error or a model, never a panic, and never
//! more memory than the file explains.

use crate::{Shapes, divided, header, list};
use croquis::diffusion::{ControlNet, Model};
use croquis::files::ModelFiles;
use croquis::internal::weights::Source;
use std::time::{Duration, Instant};

/// A seeded random number generator (Marsaglia's xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// Changes names and shapes, as in a well-formed file with the wrong contents.
fn change(shapes: &mut Shapes, random: &mut Random) {
    let key = |shapes: &Shapes, random: &mut Random| {
        let at = random.below(shapes.len().max(1));
        shapes.keys().nth(at).cloned()
    };
    let Some(name) = key(shapes, random) else { return };
    match random.below(7) {
        0 => drop(shapes.remove(&name)),
        1 => {
            // Another number in the name.
            let digits: Vec<usize> = name
                .bytes()
                .enumerate()
                .filter(|(_, b)| b.is_ascii_digit())
                .map(|(i, _)| i)
                .collect();
            let Some(shape) = shapes.remove(&name) else { return };
            let mut new = name.clone();
            if !digits.is_empty() {
                let at = digits[random.below(digits.len())];
                let numbers = ["0", "7", "99", "18446744073709551615", "-1", ""];
                new.replace_range(at..=at, numbers[random.below(numbers.len())]);
            }
            shapes.insert(new, shape);
        }
        2 => {
            let shape = shapes.entry(name).or_default();
            let axis = random.below(shape.len().max(1));
            if let Some(size) = shape.get_mut(axis) {
                *size = [0, 1, 2, 3, 5, 64, 1024][random.below(7)];
            }
        }
        3 => drop(shapes.entry(name).or_default().pop()),
        4 => shapes.entry(name).or_default().push(1),
        5 => {
            // A part of the name goes.
            let Some(shape) = shapes.remove(&name) else { return };
            let words: Vec<&str> = name.split('.').collect();
            let gone = random.below(words.len());
            let kept: Vec<&str> =
                words.iter().enumerate().filter(|(i, _)| *i != gone).map(|(_, w)| *w).collect();
            shapes.insert(kept.join("."), shape);
        }
        _ => {
            // A whole component goes.
            let prefix = name.split('.').next().unwrap_or_default().to_string();
            shapes.retain(|name, _| !name.starts_with(&prefix));
        }
    }
}

/// Runs for `CROQUIS_FUZZ_SECONDS`, by default three seconds.
#[test]
fn damaged_files_are_refused_or_opened() {
    let seconds = std::env::var("CROQUIS_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(3));
    let models = ["ldm-sd15", "ldm-sd21", "ldm-sdxl", "ldm-controlnet-sd15"];
    let models = models.map(|name| divided(&list(name), 100));
    // One buffer of zeros for the data of all of them.
    let room = models.iter().map(|shapes| header(shapes).1 as usize).max().unwrap_or(0);
    let mut random = Random(0x5eed);
    let (mut opened, mut refused, mut models_opened) = (0, 0, 0);
    while Instant::now() < until {
        let mut shapes = models[random.below(models.len())].clone();
        for _ in 0..random.below(4) {
            change(&mut shapes, &mut random);
        }
        let (mut bytes, data) = header(&shapes);
        let data = data as usize;
        if data > 2 * room {
            continue;
        }
        let length = bytes.len();
        bytes.resize(length + data, 0);
        if random.below(2) == 0 {
            let at = random.below(length);
            bytes[at] ^= 1 << random.below(8);
        }
        match ModelFiles::single_file("damaged", Source::from(bytes)) {
            Ok(files) => {
                opened += 1;
                let _ = ControlNet::open(&files);
                // Reading CLIP's vocabulary takes most of the time.
                if random.below(8) == 0 {
                    models_opened += usize::from(Model::open(&files).is_ok());
                }
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
            }
        }
    }
    println!("{opened} opened ({models_opened} as models), {refused} refused");
    // The changes must reach both sides.
    assert!(opened > 5 && refused > 5, "{opened} opened, {refused} refused");
}
