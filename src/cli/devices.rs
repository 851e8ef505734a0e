//! `croquis devices`: lists the GPUs of this machine.

use super::terminal::{print, print_json};
use croquis::diffusion::Bytes;
use croquis::gpu::{NO_GPU, list_adapters_blocking};
use croquis::{Error, ErrorKind, Result};

/// The arguments of `croquis devices`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  croquis devices
  croquis devices --json";

/// Prints the list of devices.
pub fn run(arguments: &Arguments) -> Result<()> {
    let adapters = list_adapters_blocking();
    if arguments.json {
        let device = |adapter: &croquis::gpu::AdapterSummary| {
            serde_json::json!({
                "index": adapter.index,
                "name": adapter.name,
                "driver": adapter.driver,
                "backend": adapter.backend,
                "type": adapter.device_type,
                "class": format!("{:?}", adapter.class),
                "shader_f16": adapter.shader_f16,
                "max_binding_bytes": adapter.max_binding_bytes,
                "memory_bytes": adapter.memory_bytes,
            })
        };
        let devices: Vec<_> = adapters.iter().map(device).collect();
        return print_json(&serde_json::json!({ "devices": devices }));
    }
    if adapters.is_empty() {
        return Err(Error::new(ErrorKind::Device, NO_GPU));
    }
    for adapter in adapters {
        let binding = adapter.max_binding_bytes >> 20;
        let memory = adapter
            .memory_bytes
            .map_or("unknown memory".into(), |bytes| format!("{} of memory", Bytes(bytes)));
        print(format!(
            "{adapter}, kernels for {:?}, {memory}, {binding} MiB a binding",
            adapter.class
        ))?;
    }
    Ok(())
}
