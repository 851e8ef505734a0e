//! [`TextEncoder`]: the text encoders of a model, and the embeddings of texts by all of them.

use super::chunks::{Chunk, chunks};
use super::encoder::Encoder;
use super::inversion::{Placeholder, TextualInversion};
use super::options::TextOptions;
use super::texts::Texts;
use crate::error::{Error, ErrorKind, Result};
use crate::families::TextPlan;
use crate::files::ModelFiles;
use crate::gpu::Gpu;
use crate::graph::Plan;
use crate::kernels::Target;
use crate::logging;
use crate::lora::Patches;
use crate::models::parse_config;
use serde::Deserialize;
use std::sync::Arc;

/// Tokenizers and text encoders of a model: one of each (Stable Diffusion 1 and 2), or two (XL).
pub struct TextEncoder {
    encoders: Vec<Encoder>,
    /// New words; each encoder has their vectors under the same index.
    placeholders: Vec<Placeholder>,
    /// Whether zeros stand for a negative prompt that is empty.
    zeros_for_empty: bool,
}

/// Embeddings of some texts, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextEmbeddings {
    /// The number of texts.
    pub count: usize,
    /// `[texts, tokens, width]`, row-major.
    pub values: Vec<f32>,
    /// Pooled embeddings `[texts, pooled width]`, where the model has them (XL).
    pub pooled: Option<Vec<f32>>,
    /// Notes for the user, such as on texts that are longer than the encoder's context.
    pub notes: Vec<String>,
}

/// The keys of `model_index.json` that the text encoders need.
#[derive(Deserialize)]
struct ModelIndex {
    force_zeros_for_empty_prompt: Option<bool>,
}

impl TextEncoder {
    /// Reads the configurations, tokenizers and weight headers of a family's text encoders.
    ///
    /// # Errors
    /// `NotFound`, `Format`, `Config`, `Unsupported` or `Weights`, naming file and key.
    pub fn open(plan: &TextPlan, files: &ModelFiles) -> Result<TextEncoder> {
        let mut encoders = Vec::new();
        for (index, encoder) in plan.encoders.iter().enumerate() {
            let last = index + 1 == plan.encoders.len();
            // XL's refiner has the second encoder only.
            if last || files.read(&format!("{}/config.json", encoder.folder))?.is_some() {
                encoders.push(Encoder::open(encoder, files)?);
            }
        }
        let lengths: Vec<_> = encoders.iter().map(|e| e.tokenizer.max_length()).collect();
        if lengths.iter().any(|length| *length != lengths[0]) {
            let message =
                format!("text encoders: expected as many tokens in both, got {lengths:?}");
            return Err(Error::new(ErrorKind::Config, message));
        }
        let mut zeros_for_empty = plan.zeros_for_empty;
        if zeros_for_empty && files.read("model_index.json")?.is_some() {
            let index: ModelIndex =
                parse_config("model_index.json", &files.text("model_index.json")?)?;
            zeros_for_empty = index.force_zeros_for_empty_prompt.unwrap_or(true);
        }
        Ok(TextEncoder { encoders, placeholders: Vec::new(), zeros_for_empty })
    }

    /// Bytes of GPU memory that the encoders hold.
    pub fn bytes(&self) -> u64 {
        self.encoders.iter().map(Encoder::bytes).sum()
    }

    /// Drops weights and programs from the GPU.
    pub fn unload(&mut self) {
        self.encoders.iter_mut().for_each(Encoder::unload);
    }

    /// The encoders' folders and the names of their weights.
    pub fn names(&self) -> impl Iterator<Item = (&'static str, Vec<&str>)> {
        self.encoders.iter().map(|encoder| (encoder.folder, encoder.names()))
    }

    /// Sets the low-rank patches of every encoder's weights, in place of earlier ones.
    pub fn set_patches(&mut self, patches: Vec<Patches>) -> Result<()> {
        let mut patches = patches.into_iter();
        for encoder in &mut self.encoders {
            encoder.set_patches(patches.next().unwrap_or_default())?;
        }
        Ok(())
    }

    /// Drops the programs that these texts do not need.
    pub fn retain(&mut self, texts: &Texts) {
        let keys = texts.shapes();
        self.encoders.iter_mut().for_each(|encoder| encoder.retain(&keys));
    }

    /// Adds a word to the vocabulary, in place of an earlier one of the same name.
    ///
    /// # Errors
    /// `Weights` if the vectors are not those of these encoders, or are more than fit a chunk.
    pub fn add_embedding(&mut self, embedding: &TextualInversion) -> Result<()> {
        let widths: Vec<_> = self.encoders.iter().map(|encoder| encoder.width).collect();
        let got: Vec<_> = embedding.tables().iter().map(|table| table.width).collect();
        let word = embedding.placeholder();
        let misfit = |message: String| Err(Error::new(ErrorKind::Weights, message));
        if widths != got {
            return misfit(format!(
                "textual inversion {word:?}: expected vectors of width {widths:?}, got {got:?}; it is \
                 for another kind of model"
            ));
        }
        let fit = self.encoders.first().map_or(0, |encoder| encoder.tokenizer.capacity());
        if embedding.rows() > fit {
            let rows = embedding.rows();
            return misfit(format!(
                "textual inversion {word:?}: expected at most {fit} vectors, got {rows}"
            ));
        }
        let placeholder = Placeholder::new(embedding);
        let known = self.placeholders.iter().position(|known| known.name == placeholder.name);
        let index = known.unwrap_or(self.placeholders.len());
        replace_or_push(&mut self.placeholders, index, placeholder);
        for (encoder, table) in self.encoders.iter_mut().zip(embedding.tables()) {
            replace_or_push(&mut encoder.embeddings, index, table.clone());
        }
        Ok(())
    }

    /// Tokenises texts, each given once for a first and once for a second encoder, and divides them
    /// into chunks.
    ///
    /// # Errors
    /// `Format` if the tokenizer is damaged; `Argument` for a prompt of more than 64 chunks, with a
    /// weight that is too large, or with another text for a second encoder where there is one only.
    pub fn read(&self, texts: &[[&str; 2]], options: TextOptions) -> Result<Texts> {
        if self.encoders.len() < 2 && texts.iter().any(|[first, second]| first != second) {
            let message = "second prompt: expected a model with two text encoders, such as Stable \
                           Diffusion XL, got one with one";
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let read = |(index, encoder): (usize, &Encoder)| {
            let placeholders = &self.placeholders;
            let chunks = texts.iter().map(|text| {
                let text = text[index.min(1)];
                log::debug!(target: logging::TOKENS, "text tokenised for {}", encoder.folder);
                chunks(text, options, &encoder.tokenizer, placeholders)
            });
            chunks.collect::<Result<Vec<_>>>()
        };
        let chunks = self.encoders.iter().enumerate().map(read).collect::<Result<Vec<_>>>()?;
        let capacity = self.encoders.first().map_or(0, |encoder| encoder.tokenizer.capacity());
        Ok(Texts::new(
            texts,
            chunks,
            options,
            self.zeros_for_empty,
            [self.chunk_length(), capacity],
        ))
    }

    /// Width of the pooled embeddings, where the model has them.
    pub fn pooled_width(&self) -> Option<usize> {
        self.encoders.iter().find_map(Encoder::pooled_width)
    }

    /// Width of a token's embedding.
    pub fn width(&self) -> usize {
        self.encoders.iter().map(|encoder| encoder.width).sum()
    }

    /// Embeds texts. Those with fewer chunks than the longest get empty ones.
    ///
    /// # Errors
    /// `Argument` if no layer is left, or the weights of a text cancel; `Memory`, `Weights` or
    /// `Device` if an encoder does not run on the device.
    pub async fn encode(&mut self, gpu: &Gpu, texts: &Texts) -> Result<TextEmbeddings> {
        let (length, width, tokens) = (self.chunk_length(), self.width(), texts.tokens);
        let pooled_width = self.pooled_width();
        let mut values = vec![0.0; texts.count * tokens * width];
        let mut pooled = pooled_width.map(|width| vec![0.0; texts.count * width]);
        let empty = Chunk::default();
        let mut column = 0;
        for (encoder, prompts) in self.encoders.iter_mut().zip(&texts.chunks) {
            for (rows, skip) in &texts.groups {
                for index in 0..tokens / length {
                    let batch = prompts[rows.clone()].iter();
                    let batch: Vec<_> =
                        batch.map(|text| text.get(index).unwrap_or(&empty)).collect();
                    let encoding = encoder.encode(gpu, &batch, *skip, index == 0).await?;
                    for (at, state) in encoding.hidden.chunks_exact(encoder.width).enumerate() {
                        let (text, token) =
                            (rows.start + at / length, index * length + at % length);
                        let start = (text * tokens + token) * width + column;
                        values[start..start + state.len()].copy_from_slice(state);
                    }
                    if let (Some(all), Some(found)) = (&mut pooled, encoding.pooled) {
                        let start = rows.start * pooled_width.unwrap_or_default();
                        all[start..start + found.len()].copy_from_slice(&found);
                    }
                }
            }
            column += encoder.width;
        }
        Ok(TextEmbeddings { count: texts.count, values, pooled, notes: texts.notes.clone() })
    }

    /// The plans that encode a chunk of texts, by the folder of their weights; they are kept.
    ///
    /// # Errors
    /// `Weights` or `Shape` if weights and configuration do not fit; `Argument` if no layer is
    /// left; `Memory` if the target's limits do not allow it.
    pub fn plans(&self, texts: &Texts, target: &Target) -> Result<Vec<(&'static str, Arc<Plan>)>> {
        let mut plans = Vec::new();
        for encoder in &self.encoders {
            for (count, skip) in texts.shapes() {
                plans.push((encoder.folder, encoder.plan(count, skip, target)?));
            }
        }
        Ok(plans)
    }

    /// The number of tokens of a chunk, start, end and padding included.
    fn chunk_length(&self) -> usize {
        self.encoders.first().map_or(2, |encoder| encoder.tokenizer.max_length())
    }
}

/// Puts an item at an index of a list, or at its end.
fn replace_or_push<T>(list: &mut Vec<T>, index: usize, item: T) {
    match list.get_mut(index) {
        Some(old) => *old = item,
        None => list.push(item),
    }
}
