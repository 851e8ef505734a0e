//! `croquis inspect`: shows family, components, types and memory of a model's files.

use super::terminal::{print, print_json};
use croquis::Result;
use croquis::Storage;
use croquis::files::{ComponentSummary, ModelFiles, Summary};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The arguments of `croquis inspect`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// A file (.safetensors, .gguf) or the folder of a diffusers model
    #[arg(value_name = "FILE|DIR")]
    model: PathBuf,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  croquis inspect model.safetensors
  croquis inspect stable-diffusion-v1-5 --json";

/// Number of unknown tensors in the text output; the JSON has all.
const SHOWN: usize = 20;

/// Prints the summary.
pub fn run(arguments: &Arguments) -> Result<()> {
    let summary = ModelFiles::open(&arguments.model)?.summary()?;
    if arguments.json {
        return print_json(&to_json(&summary));
    }
    print(to_text(&summary))
}

fn to_json(summary: &Summary) -> Value {
    let component = |part: &ComponentSummary| {
        let bytes = |storage: Storage| (storage.name().to_string(), json!(part.gpu_bytes(storage)));
        json!({
            "name": part.name,
            "tensors": part.tensors,
            "parameters": part.parameters,
            "types": part.types,
            "file_bytes": part.file_bytes,
            "gpu_bytes": Storage::ALL.map(bytes).into_iter().collect::<serde_json::Map<_, _>>(),
        })
    };
    json!({
        "model": summary.name,
        "family": summary.family,
        "prediction": summary.prediction,
        "scheduler": summary.scheduler,
        "components": summary.components.iter().map(component).collect::<Vec<_>>(),
        "unknown": summary.unknown,
    })
}

fn to_text(summary: &Summary) -> String {
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".into());
    let mut text = format!(
        "model       {}\nfamily      {}\nprediction  {}\nscheduler   {}\n\n{:<15} {:>8} {:>12} {:>9} \
         {:>15} {:>11}  types\n",
        summary.name,
        or_unknown(&summary.family),
        or_unknown(&summary.prediction),
        or_unknown(&summary.scheduler),
        "component",
        "tensors",
        "parameters",
        "file MB",
        "f16, packed MB",
        "f32 MB",
    );
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    for part in &summary.components {
        let types: Vec<_> =
            part.types.iter().map(|(name, count)| format!("{count} {name}")).collect();
        text += &format!(
            "{:<15} {:>8} {:>12} {:>9.1} {:>15.1} {:>11.1}  {}\n",
            if part.name.is_empty() { "(the model)" } else { &part.name },
            part.tensors,
            part.parameters,
            megabytes(part.file_bytes),
            megabytes(part.gpu_bytes(Storage::F16)),
            megabytes(part.gpu_bytes(Storage::F32)),
            types.join(", "),
        );
    }
    if !summary.unknown.is_empty() {
        text += &format!("\n{} tensors belong to no known component:\n", summary.unknown.len());
        for name in summary.unknown.iter().take(SHOWN) {
            text += &format!("  {name}\n");
        }
        if summary.unknown.len() > SHOWN {
            text += &format!("  and {} more; --json has all\n", summary.unknown.len() - SHOWN);
        }
    }
    text.trim_end().into()
}
