//! The text encoders with the reference's tokens.

use crate::common::relative_l2;
use crate::modules::program;
use crate::reference::Reference;
use crate::report::Report;
use croquis::Result;
use croquis::gpu::Gpu;
use croquis::graph::passes::fuse;
use croquis::graph::{Builder, Scope};
use croquis::models::clip::{ClipConfig, embed, text_encoder};
use croquis::shape::TensorType;
use croquis::weights::Weights;

/// The text encoders on the tokens of the reference. SDXL's hidden state is that before the last
/// layer.
pub fn text_encoders(gpu: &Gpu, reference: &Reference, report: &mut Report) -> Result<()> {
    for name in ["text_encoder", "text_encoder_2"] {
        let rows: Vec<Vec<u32>> = match reference.description.get(name) {
            Some(described) => serde_json::from_value(described["input_ids"].clone())
                .map_err(|error| invalid(name, error))?,
            None => continue,
        };
        let weights = Weights::open(reference.weights(name))?.without_prefix("text_model.")?;
        let (key, tap) = match format!("{name}.final_layer_norm") {
            last if reference.has(&last) => (last.clone(), last),
            _ => (format!("{name}.hidden_states.-2"), last_but_one(name, &weights)),
        };
        let (_, expected) = reference.tensor(&key)?;
        report.module(&key, &encode_text(gpu, reference, name, &weights, &rows, &tap)?, &expected);
        if report.self_check() {
            let weights = with_a_wrong_weight(reference, name)?;
            let got = encode_text(gpu, reference, name, &weights, &rows, &tap)?;
            let error = relative_l2(&got, &expected);
            report.detects(&key, "a bias of the first layer with another sign", error);
        }
    }
    Ok(())
}

/// The path of the layer before the last.
fn last_but_one(name: &str, weights: &Weights) -> String {
    let layer = |name: &str| name.strip_prefix("encoder.layers.")?.split('.').next()?.parse().ok();
    let last: usize = weights.names().filter_map(layer).max().unwrap_or(0);
    format!("{name}.encoder.layers.{}", last.saturating_sub(1))
}

fn encode_text(
    gpu: &Gpu,
    reference: &Reference,
    name: &str,
    weights: &Weights,
    rows: &[Vec<u32>],
    tap: &str,
) -> Result<Vec<f32>> {
    let config: ClipConfig = reference.config(name)?;
    let mut embeddings = Vec::new();
    for row in rows {
        embeddings.extend(embed(weights, row)?);
    }
    let tokens = rows.first().map_or(1, Vec::len);
    let width = embeddings.len() / (rows.len() * tokens).max(1);
    let builder = Builder::new();
    let m = Scope::new(&builder, name, weights);
    let input = builder.input("embeddings", TensorType::real([rows.len(), tokens, width]));
    text_encoder(&m, &config, input);
    let graph = fuse(builder.finish_with_taps()?);
    let program = program(gpu, weights, &graph, &[])?;
    program.write("embeddings", &embeddings)?;
    program.run();
    gpu.block_on(program.read(tap))
}

/// The component with the signs of one bias changed: the highest bit of each half.
fn with_a_wrong_weight(reference: &Reference, name: &str) -> Result<Weights> {
    let path = reference.weights(name);
    let mut bytes = std::fs::read(&path).map_err(|error| invalid(name, error))?;
    let view =
        safetensors::SafeTensors::deserialize(&bytes).map_err(|error| invalid(name, error))?;
    let tensor = view
        .tensor("text_model.encoder.layers.0.mlp.fc1.bias")
        .map_err(|error| invalid(name, error))?;
    let start = tensor.data().as_ptr() as usize - bytes.as_ptr() as usize;
    let end = start + tensor.data().len();
    bytes[start..end].chunks_exact_mut(2).for_each(|half| half[1] ^= 0x80);
    Weights::from_bytes(name, bytes)?.without_prefix("text_model.")
}

fn invalid(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> croquis::Error {
    croquis::Error::new(croquis::ErrorKind::Argument, what).with_source(error)
}
