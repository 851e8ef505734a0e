//! Compares a model at full size with diffusers, module by module and as a whole run:
//! `cargo run --release --example parity -- FOLDER`, where FOLDER was made by
//! `tests/golden/full_size.py`. Prints a row of a Markdown table per module; the exit status is 1
//! if one differs by more than its tolerance. `./x parity FAMILY` does both.

#[path = "../../tests/common/mod.rs"]
mod common;
mod modules;
mod reference;
mod report;
mod text;

use croquis::Result;
use croquis::Storage;
use croquis::gpu::{DeviceOptions, Gpu};
use reference::Reference;
use report::Report;

const USAGE: &str = "\
cargo run --release --example parity -- FOLDER [options]
  --device NAME    a part of the device's name, or its position in the list
  --storage TYPE   f16, packed or f32 (default: what the device likes best)
  --only MODULE    text, unet, vae, run or large
  --self-check     also show that a wrong weight and a wrong reference are detected";

/// The command-line options.
#[derive(Default)]
struct Options {
    folder: String,
    device: DeviceOptions,
    only: Option<String>,
    self_check: bool,
}

fn main() {
    let options = read(std::env::args().skip(1)).unwrap_or_else(|word| {
        eprintln!("{word}\n{USAGE}");
        std::process::exit(2)
    });
    match compare(&options) {
        Ok(report) => std::process::exit(i32::from(!report.passed())),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1)
        }
    }
}

/// Parses the command line; an error names the option that is not valid.
fn read(mut arguments: impl Iterator<Item = String>) -> std::result::Result<Options, String> {
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument}: expected a value"));
        match argument.as_str() {
            "--device" => options.device.device = Some(value()?),
            "--storage" => {
                let name = value()?;
                let storage = Storage::ALL.into_iter().find(|storage| storage.name() == name);
                options.device.storage = Some(storage.ok_or(format!("{name}: no storage type"))?);
            }
            "--only" => options.only = Some(value()?),
            "--self-check" => options.self_check = true,
            folder if !folder.starts_with('-') => options.folder = folder.into(),
            other => return Err(format!("{other}: unknown option")),
        }
    }
    if options.folder.is_empty() { Err("expected a folder".into()) } else { Ok(options) }
}

fn compare(options: &Options) -> Result<Report> {
    let gpu = Gpu::open_blocking(&options.device)?;
    let reference = Reference::open(&options.folder)?;
    let mut report = Report::new(&gpu, reference.family(), options.self_check);
    let wanted = |module: &str| options.only.as_deref().is_none_or(|only| only == module);
    if wanted("text") {
        text::text_encoders(&gpu, &reference, &mut report)?;
    }
    if wanted("unet") {
        modules::unet_evaluation(&gpu, &reference, "unet", &mut report)?;
    }
    if wanted("large") && reference.has("large.sample") {
        modules::unet_evaluation(&gpu, &reference, "large", &mut report)?;
    }
    if wanted("vae") {
        modules::autoencoder(&gpu, &reference, &mut report)?;
    }
    if wanted("run") {
        modules::run(&gpu, &reference, &mut report)?;
    }
    Ok(report)
}
