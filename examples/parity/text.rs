//! Compares the text embeddings of prompts, computed with the tokenizers and encoders of a run.

use crate::common::relative_l2;
use crate::reference::Reference;
use crate::report::Report;
use croquis::Result;
use croquis::files::ModelFiles;
use croquis::gpu::Gpu;
use croquis::internal::components::{TextEmbeddings, TextEncoder, TextOptions};
use croquis::internal::families::{sd1, sdxl};
use croquis::internal::weights::Source;
use std::path::Path;

/// The UNet's context (for SDXL both encoders' outputs, concatenated) and the pooled embeddings, if
/// any.
pub fn text_encoders(gpu: &Gpu, reference: &Reference, report: &mut Report) -> Result<()> {
    let prompts: Vec<String> =
        serde_json::from_value(reference.description["text_encoder"]["prompts"].clone())
            .map_err(|error| invalid("text_encoder.prompts", error))?;
    let (shape, expected) = reference.tensor("unet.encoder_hidden_states")?;
    let context = format!("text: context, {}×{}×{}", shape[0], shape[1], shape[2]);
    let got = encode(gpu, &reference.files()?, &prompts)?;
    report.module(&context, &got.values, &expected);
    if reference.has("unet.added.text_embeds") {
        let (shape, expected) = reference.tensor("unet.added.text_embeds")?;
        let pooled = format!("text: pooled, {}×{}", shape[0], shape[1]);
        report.module(&pooled, &got.pooled.unwrap_or_default(), &expected);
    }
    if report.self_check() {
        for encoder in ["text_encoder", "text_encoder_2"] {
            if reference.weights(encoder).exists() {
                let files = with_a_wrong_bias(reference, encoder)?;
                let error = relative_l2(&encode(gpu, &files, &prompts)?.values, &expected);
                let what = format!("a bias of {encoder}'s first layer with another sign");
                report.detects(&context, &what, error);
            }
        }
    }
    Ok(())
}

fn encode(gpu: &Gpu, files: &ModelFiles, prompts: &[String]) -> Result<TextEmbeddings> {
    let prompts: Vec<_> = prompts.iter().map(|prompt| [prompt.as_str(); 2]).collect();
    let two = files.read("text_encoder_2/config.json")?.is_some();
    let family = if two { &sdxl::FAMILY } else { &sd1::FAMILY };
    let mut encoder = TextEncoder::open(&family.text, files)?;
    let texts = encoder.read(&prompts, TextOptions::default())?;
    gpu.block_on(encoder.encode(gpu, &texts))
}

/// The model's files with one bias negated: the sign bit of each f16 value is flipped.
fn with_a_wrong_bias(reference: &Reference, encoder: &str) -> Result<ModelFiles> {
    let model = reference.model();
    let wrong = format!("{encoder}/model.safetensors");
    let mut files = Vec::new();
    for folder in ["text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"] {
        for name in names(&model.join(folder)) {
            let path = format!("{folder}/{name}");
            let mut source = Source::open(&model.join(&path))?;
            if path == wrong {
                source = with_another_sign(&source.to_vec()?, &path)?.into();
            }
            files.push((path, source));
        }
    }
    Ok(ModelFiles::memory("a wrong model", files))
}

fn with_another_sign(file: &[u8], name: &str) -> Result<Vec<u8>> {
    let invalid = |error| invalid(name, error);
    let view = safetensors::SafeTensors::deserialize(file).map_err(invalid)?;
    let bias = view.tensor("text_model.encoder.layers.0.mlp.fc1.bias").map_err(invalid)?.data();
    let start = bias.as_ptr() as usize - file.as_ptr() as usize;
    let mut bytes = file.to_vec();
    bytes[start..start + bias.len()].chunks_exact_mut(2).for_each(|half| half[1] ^= 0x80);
    Ok(bytes)
}

/// The names of a folder's files; none if the folder does not exist.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn invalid(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> croquis::Error {
    croquis::Error::new(croquis::ErrorKind::Argument, what).with_source(error)
}
