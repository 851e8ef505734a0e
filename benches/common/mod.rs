//! Shared by the benches: options, the device, medians.
#![allow(dead_code)] // each bench uses a part

use croquis::Storage;
use croquis::gpu::{DeviceOptions, Gpu};
use std::time::Duration;

const USAGE: &str = "\
options, after `cargo bench --` or `./x bench --`:
  FILTER           only shapes with this word in the kernel's name or in the shape
  --variants       every variant of each kernel; the default is marked with a star
  --large          the shapes of Stable Diffusion 1.5 as well: for a GPU
  --device NAME    a part of the device's name, or its position in the list
  --storage TYPE   f16, packed or f32
  --model DIR      the model, for the bench `host`; the embedded one if left out
  --size WxH       the size of the picture in pixels, for the bench `host`
  --json           one JSON object a line";

/// The command-line options.
#[derive(Default)]
pub struct Options {
    pub filter: String,
    pub large: bool,
    pub json: bool,
    pub variants: bool,
    pub model: Option<String>,
    pub size: Option<[usize; 2]>,
    device: DeviceOptions,
}

impl Options {
    /// Parses the command line; exits with a message if it is not valid.
    pub fn read() -> Options {
        let mut options = Options::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_else(|| usage(&argument));
            match argument.as_str() {
                "--bench" => {} // cargo's own
                "--large" => options.large = true,
                "--json" => options.json = true,
                "--variants" => options.variants = true,
                "--model" => options.model = Some(value()),
                "--size" => {
                    let size = value();
                    let sides = size.split_once('x');
                    let sides = sides.and_then(|(w, h)| Some([w.parse().ok()?, h.parse().ok()?]));
                    options.size = Some(sides.unwrap_or_else(|| usage(&size)));
                }
                "--device" => options.device.device = Some(value()),
                "--storage" => {
                    let name = value();
                    let storage = Storage::ALL.into_iter().find(|storage| storage.name() == name);
                    options.device.storage = Some(storage.unwrap_or_else(|| usage(&name)));
                }
                word if !word.starts_with('-') => options.filter = word.into(),
                _ => usage(&argument),
            }
        }
        options
    }

    /// Opens the device; exits with a message if there is none.
    pub fn gpu(&self) -> Gpu {
        Gpu::open_blocking(&self.device).unwrap_or_else(|error| {
            eprintln!("{error}");
            std::process::exit(1)
        })
    }
}

fn usage(argument: &str) -> ! {
    if argument != "--help" {
        eprintln!("{argument}: unknown option");
    }
    eprintln!("{USAGE}");
    std::process::exit(2)
}

/// The median of some durations.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
