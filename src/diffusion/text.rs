//! Prompts to text embeddings.
//!
//! A prompt of any length is read in chunks, each as long as the encoder's context and encoded by
//! itself; the results are joined along the tokens. Stable Diffusion XL has two encoders, whose
//! results are joined along the width (Podell et al., arXiv 2307.01952, section 2.1).

mod chunks;
mod encoder;
mod inversion;
mod weighting;

use super::files::ModelFiles;
use crate::error::{Error, ErrorKind, Result};
use crate::gpu::Gpu;
use crate::graph::Graph;
use crate::lora::Patches;
use crate::models::clip::Reading;
use crate::models::parse_config;
use chunks::{Chunk, chunks};
use encoder::{ClipEncoder, config, tokenizer};
use inversion::Placeholder;
pub use inversion::TextualInversion;
use serde::Deserialize;
use std::ops::Range;

/// The folder of the one encoder, or of the first of two.
const FIRST: &str = "text_encoder";
/// The folder of the encoder with a projection (Stable Diffusion XL).
const SECOND: &str = "text_encoder_2";
/// What XL's second tokenizer pads with.
const SECOND_PADDING: &str = "!";

/// Tokenizers and text encoders of a model: one of each (Stable Diffusion 1 and 2), or two (XL).
pub struct TextEncoder {
    encoders: Vec<ClipEncoder>,
    /// New words; each encoder has their vectors under the same index.
    placeholders: Vec<Placeholder>,
    /// Whether zeros stand for a negative prompt that is empty.
    zeros_for_empty: bool,
}

/// How texts are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextOptions {
    /// How many of the last layers are left out, beyond those that the model itself leaves out
    /// (diffusers' `clip_skip`). A negative prompt is read with all layers, as diffusers does.
    pub skip: usize,
    /// Whether brackets are words like any others, not weights.
    pub plain: bool,
    /// Whether the first text is a negative prompt. Where it is empty, some models (XL) have zeros
    /// in its place.
    pub negative: bool,
}

/// Embeddings of some texts, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextEmbeddings {
    /// `[texts, tokens, width]`, row-major.
    pub values: Vec<f32>,
    /// Pooled embeddings `[texts, pooled width]`, where the model has them (XL).
    pub pooled: Option<Vec<f32>>,
    /// What the user should know: which texts are longer than what the model was trained on.
    pub notes: Vec<String>,
}

#[derive(Deserialize)]
struct Index {
    force_zeros_for_empty_prompt: Option<bool>,
}

impl TextEncoder {
    /// Reads the configurations, tokenizers and weight headers of a model's text encoders:
    /// `text_encoder/` and `tokenizer/`, for XL also `text_encoder_2/` and `tokenizer_2/`.
    ///
    /// # Errors
    /// `NotFound`, `Format`, `Config`, `Unsupported` or `Weights`, naming file and key.
    pub fn open(files: &ModelFiles) -> Result<TextEncoder> {
        let has = |path: String| Ok::<_, Error>(files.read(&path)?.is_some());
        let read_tokenizer = |folder: &str, of: &str| {
            tokenizer(files, folder, config(files, of)?.max_position_embeddings)
        };
        let xl = has(format!("{SECOND}/config.json"))?;
        let mut encoders = Vec::new();
        // XL's refiner has the second encoder only.
        if !xl || has(format!("{FIRST}/config.json"))? {
            let skip = usize::from(xl);
            let reading = Reading { skip, norm: !xl, projection: false };
            let tokenizer = read_tokenizer("tokenizer", FIRST)?;
            encoders.push(ClipEncoder::open(files, FIRST, tokenizer, reading)?);
        }
        if xl {
            let names = ["tokenizer.json", "vocab.json", "merges.txt"];
            let mut own = false;
            for name in names {
                own |= has(format!("tokenizer_2/{name}"))?;
            }
            let tokenizer = match own {
                true => read_tokenizer("tokenizer_2", SECOND)?,
                false => read_tokenizer("tokenizer", SECOND)?.with_padding(SECOND_PADDING)?,
            };
            let reading = Reading { skip: 1, norm: false, projection: true };
            encoders.push(ClipEncoder::open(files, SECOND, tokenizer, reading)?);
        }
        let lengths: Vec<_> = encoders.iter().map(|e| e.tokenizer.max_length()).collect();
        if lengths.iter().any(|length| *length != lengths[0]) {
            let message =
                format!("text encoders: expected as many tokens in both, got {lengths:?}");
            return Err(Error::new(ErrorKind::Config, message));
        }
        let mut zeros_for_empty = xl;
        if xl && has("model_index.json".into())? {
            let index: Index = parse_config("model_index.json", &files.text("model_index.json")?)?;
            zeros_for_empty = index.force_zeros_for_empty_prompt.unwrap_or(true);
        }
        Ok(TextEncoder { encoders, placeholders: Vec::new(), zeros_for_empty })
    }

    /// Bytes of GPU memory that the encoders hold.
    pub fn bytes(&self) -> u64 {
        self.encoders.iter().map(ClipEncoder::bytes).sum()
    }

    /// Forgets what is on the GPU.
    pub fn unload(&mut self) {
        self.encoders.iter_mut().for_each(ClipEncoder::unload);
    }

    /// The encoders' folders and the names of their weights.
    pub(super) fn names(&self) -> impl Iterator<Item = (&'static str, Vec<&str>)> {
        self.encoders.iter().map(|encoder| (encoder.folder, encoder.names()))
    }

    /// Adds to the weights of every encoder, in place of what was added before.
    pub(super) fn set_patches(&mut self, patches: Vec<Patches>) -> Result<()> {
        let mut patches = patches.into_iter();
        for encoder in &mut self.encoders {
            encoder.set_patches(patches.next().unwrap_or_default())?;
        }
        Ok(())
    }

    /// Forgets the programs that these texts do not need.
    pub(super) fn retain(&mut self, texts: &[&str], options: TextOptions) {
        let groups = self.groups(texts, options);
        let keys: Vec<_> = groups.iter().map(|(rows, skip)| (rows.len(), *skip)).collect();
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
        let fit = self.chunk_length() - 2;
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

    /// How many tokens these texts get in one batch, padding included.
    ///
    /// # Errors
    /// `Format` if the tokenizer is damaged; `Argument` for a prompt of more than 64 chunks, or
    /// with a weight that is too large.
    pub fn tokens(&self, texts: &[&str], options: TextOptions) -> Result<usize> {
        let mut count = 1;
        for encoder in &self.encoders {
            for text in texts {
                let placeholders = &self.placeholders;
                let chunks = chunks(text, options.plain, &encoder.tokenizer, placeholders)?;
                count = count.max(chunks.len());
            }
        }
        Ok(count * self.chunk_length())
    }

    /// Width of the pooled embeddings, where the model has them.
    pub fn pooled_width(&self) -> Option<usize> {
        self.encoders.iter().find_map(ClipEncoder::pooled_width)
    }

    /// Width of a token's embedding.
    pub fn width(&self) -> usize {
        self.encoders.iter().map(|encoder| encoder.width).sum()
    }

    /// Embeds texts. Those with fewer chunks than the longest get empty ones.
    ///
    /// # Errors
    /// As [`tokens`](TextEncoder::tokens); `Argument` if no layer is left, or the weights of a text
    /// cancel; `Memory`, `Weights` or `Device` if an encoder does not run on the device.
    pub async fn encode(
        &mut self,
        gpu: &Gpu,
        texts: &[&str],
        options: TextOptions,
    ) -> Result<TextEmbeddings> {
        let (length, width) = (self.chunk_length(), self.width());
        let tokens = self.tokens(texts, options)?;
        let pooled_width = self.pooled_width();
        let mut values = vec![0.0; texts.len() * tokens * width];
        let mut pooled = pooled_width.map(|width| vec![0.0; texts.len() * width]);
        let groups = self.groups(texts, options);
        let empty = Chunk::default();
        let mut column = 0;
        for encoder in &mut self.encoders {
            let read = |text| chunks(text, options.plain, &encoder.tokenizer, &self.placeholders);
            let prompts = texts.iter().copied().map(read).collect::<Result<Vec<_>>>()?;
            for (rows, skip) in &groups {
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
        Ok(TextEmbeddings { values, pooled, notes: self.notes(texts, options)? })
    }

    /// The graphs that embed these texts, by the folder of their weights. Each runs once for every
    /// chunk.
    ///
    /// # Errors
    /// `Weights` or `Shape` if weights and configuration do not fit; `Argument` if no layer is left.
    pub fn graphs(
        &self,
        texts: &[&str],
        options: TextOptions,
    ) -> Result<Vec<(&'static str, Graph)>> {
        let mut graphs = Vec::new();
        for encoder in &self.encoders {
            for (rows, skip) in self.groups(texts, options) {
                graphs.push((encoder.folder, encoder.graph(rows.len(), skip)?));
            }
        }
        Ok(graphs)
    }

    /// Texts that are encoded together, and how many layers are left out. The others are zeros.
    fn groups(&self, texts: &[&str], options: TextOptions) -> Vec<(Range<usize>, usize)> {
        let negative = usize::from(options.negative).min(texts.len());
        let zeros = negative == 1 && self.zeros_for_empty && texts[0].is_empty();
        let all = match (zeros, options.skip) {
            (true, skip) => vec![(1..texts.len(), skip)],
            (false, 0) => vec![(0..texts.len(), 0)],
            (false, skip) => vec![(0..negative, 0), (negative..texts.len(), skip)],
        };
        all.into_iter().filter(|(rows, _)| !rows.is_empty()).collect()
    }

    /// What to tell the user of texts that are longer than the encoder's context.
    fn notes(&self, texts: &[&str], options: TextOptions) -> Result<Vec<String>> {
        let Some(encoder) = self.encoders.first() else { return Ok(Vec::new()) };
        let mut notes = Vec::new();
        for text in texts {
            let chunks = chunks(text, options.plain, &encoder.tokenizer, &self.placeholders)?;
            if let (count @ 2.., fit) = (chunks.len(), encoder.tokenizer.capacity()) {
                let tokens: usize = chunks.iter().map(|chunk| chunk.tokens.len()).sum();
                notes.push(format!(
                    "a prompt has {tokens} tokens; it is read in {count} chunks of up to {fit}"
                ));
            }
        }
        Ok(notes)
    }

    /// How many tokens a chunk has, start, end and padding included.
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
