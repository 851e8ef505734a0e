//! `croquis synth`: writes a model folder with random weights, for measurements and tests at full
//! size where the real weights are too large or not public. Such a model generates noise, not
//! pictures.

mod random_weights;

use super::progress::Meter;
use super::terminal::{print, say};
use clap::builder::PossibleValuesParser;
use croquis::internal::models::presets::{Preset, PresetComponent};
use croquis::internal::random::Generator;
use croquis::{Error, ErrorKind, Result};
use random_weights::{Dtype, header, write_values};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// The arguments of `croquis synth`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The preset to write
    #[arg(value_parser = PossibleValuesParser::new(Preset::NAMES))]
    preset: String,
    /// The folder to write, which must be empty or not exist yet
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The seed of the weights; the same seed gives the same bytes
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=u64::from(u32::MAX)))]
    seed: u64,
    /// The type of the weights in the files
    #[arg(long, value_enum, default_value_t = Dtype::F16)]
    storage_dtype: Dtype,
}

const EXAMPLES: &str = "\
Examples:
  croquis synth sd15 random-sd15
  croquis synth sdxl-tiny small --seed 1 --storage-dtype f32";

/// Writes the folder and prints its path.
pub fn run(arguments: &Arguments) -> Result<()> {
    let preset = Preset::named(&arguments.preset)?;
    let folder = arguments.folder.as_path();
    refuse_what_is_there(folder)?;
    for (path, text) in preset.text_files() {
        let file = folder.join(path);
        create(&file)?.write_all(text.as_bytes()).map_err(|error| failed(&file, error))?;
    }
    let components = preset.components();
    let tensors = components.iter().map(|component| component.weights.len()).sum();
    let meter = Meter::counting(tensors);
    let mut generator = Generator::new(arguments.seed);
    for component in &components {
        write_component(component, folder, arguments.storage_dtype, &mut generator, &meter)?;
    }
    drop(meter);
    let elements = components.iter().flat_map(|component| component.weights.values());
    let elements: usize = elements.map(|shape| shape.iter().product::<usize>()).sum();
    say(format!(
        "{}: {:.1} million random weights of seed {} in {}",
        preset.name,
        elements as f64 / 1e6,
        arguments.seed,
        arguments.storage_dtype.name()
    ));
    print(folder.display())
}

/// Refuses a folder that is not empty.
fn refuse_what_is_there(folder: &Path) -> Result<()> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => {
                let message =
                    format!("{}: expected an empty folder, got one with files", folder.display());
                Err(Error::new(ErrorKind::Argument, message))
            }
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(folder, error)),
    }
}

/// Writes configuration and weights of one component, a block of values at a time.
fn write_component(
    component: &PresetComponent,
    folder: &Path,
    dtype: Dtype,
    generator: &mut Generator,
    meter: &Meter,
) -> Result<()> {
    let folder = folder.join(component.folder);
    let config = folder.join("config.json");
    let text = format!("{:#}\n", component.config);
    create(&config)?.write_all(text.as_bytes()).map_err(|error| failed(&config, error))?;

    let path = folder.join(component.file);
    let mut file = BufWriter::new(create(&path)?);
    let mut write = || -> std::io::Result<()> {
        file.write_all(&header(&component.weights, dtype))?;
        for (name, shape) in &component.weights {
            write_values(&mut file, name, shape, dtype, generator)?;
            meter.advance();
        }
        file.flush()
    };
    write().map_err(|error| failed(&path, error))
}

/// Creates a file, and the folder that contains it.
fn create(path: &Path) -> Result<File> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    File::create_new(path).map_err(|error| failed(path, error))
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    let message = format!("{}: cannot be written", path.display());
    Error::new(ErrorKind::Io, message).with_source(error)
}
