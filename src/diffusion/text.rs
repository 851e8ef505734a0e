//! Prompts to text embeddings.

use super::component::Component;
use super::files::ModelFiles;
use crate::error::{Error, ErrorKind, Result};
use crate::gpu::Gpu;
use crate::graph::passes::fuse;
use crate::graph::{Builder, Graph, Scope};
use crate::models::clip::{ClipConfig, POSITIONS, TOKENS, embed, text_encoder};
use crate::models::parse_config;
use crate::shape::TensorType;
use crate::tokenizer::{Encoded, Tokenizer, TokenizerFiles};
use crate::weights::Weights;

/// Tokenizer and text encoder.
pub(super) struct TextEncoder {
    tokenizer: Tokenizer,
    config: ClipConfig,
    width: usize,
    component: Component<usize>,
}

/// How texts are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TextOptions {
    /// How many of the last layers are left out, beyond those that the model itself leaves out.
    pub skip: usize,
    /// Whether brackets are words like any others, not weights.
    pub plain: bool,
}

/// Embeddings of some texts, one after the other.
pub(super) struct TextEmbeddings {
    /// `[texts, tokens, width]`, row-major.
    pub values: Vec<f32>,
    /// Pooled embeddings `[texts, pooled width]`, where the model has them (SDXL).
    pub pooled: Option<Vec<f32>>,
    /// What the user should know: which texts did not fit.
    pub notes: Vec<String>,
}

impl TextEncoder {
    pub(super) fn open(files: &ModelFiles) -> Result<TextEncoder> {
        let file = "text_encoder/config.json";
        let config: ClipConfig = parse_config(file, &files.text(file)?)?;
        let read = |name: &str| files.read(&format!("tokenizer/{name}"));
        let tokenizer_json = read("tokenizer.json")?;
        let (vocab_json, merges_txt) = (read("vocab.json")?, read("merges.txt")?);
        let (config_json, special) =
            (read("tokenizer_config.json")?, read("special_tokens_map.json")?);
        let tokenizer = Tokenizer::new(
            &TokenizerFiles {
                tokenizer_json: tokenizer_json.as_deref(),
                vocab_json: vocab_json.as_deref(),
                merges_txt: merges_txt.as_deref(),
                tokenizer_config: config_json.as_deref(),
                special_tokens_map: special.as_deref(),
            },
            config.max_position_embeddings,
        )?;
        let weights = files.weights("text_encoder")?.without_prefix("text_model.")?;
        let width = embedding_width(&weights, config.max_position_embeddings)?;
        Ok(TextEncoder { tokenizer, config, width, component: Component::new(weights) })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.component.bytes()
    }

    pub(super) fn unload(&mut self) {
        self.component.unload();
    }

    /// How many tokens these texts get in one batch, padding included.
    pub(super) fn tokens(&self, _texts: &[&str], _options: TextOptions) -> Result<usize> {
        Ok(self.tokenizer.max_length())
    }

    /// The width of the pooled embeddings, where the model has them.
    pub(super) fn pooled_width(&self) -> Option<usize> {
        None
    }

    /// Width of a token's embedding.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn tokenize(&self, text: &str) -> Result<Encoded> {
        self.tokenizer.encode(text)
    }

    /// What to tell the user of a text that is too long.
    fn truncation(&self, encoded: &Encoded) -> Option<String> {
        let rest = encoded.truncated.as_deref()?;
        let mut start: String = rest.trim().chars().take(60).collect();
        if start.len() < rest.trim().len() {
            start.push('…');
        }
        let (tokens, fit) = (encoded.tokens, self.tokenizer.max_length() - 2);
        Some(format!("a prompt has {tokens} tokens, of which {fit} fit; ignored from {start:?} on"))
    }

    /// Embeds texts in one batch.
    pub(super) async fn encode(
        &mut self,
        gpu: &Gpu,
        texts: &[&str],
        _options: TextOptions,
    ) -> Result<TextEmbeddings> {
        let mut embeddings = Vec::new();
        let mut notes = Vec::new();
        for text in texts {
            let encoded = self.tokenize(text)?;
            embeddings.extend(embed(&self.component.weights, &encoded.ids)?);
            notes.extend(self.truncation(&encoded));
        }
        let tokens = self.tokenizer.max_length();
        let width = self.width;
        let key = texts.len();
        let program = match self.component.program(&key) {
            Some(program) => program,
            None => {
                let graph = self.graph([texts.len(), tokens, width])?;
                self.component.compile(gpu, key, &graph, &[]).await?
            }
        };
        program.write("embeddings", &embeddings)?;
        program.run();
        let values = program.read("hidden").await?;
        Ok(TextEmbeddings { values, pooled: None, notes })
    }

    /// The graphs that make the embeddings of `texts` texts of `tokens` tokens each, by name.
    pub(super) fn graphs(&self, texts: usize, tokens: usize) -> Result<Vec<(&'static str, Graph)>> {
        Ok(vec![("text_encoder", self.graph([texts, tokens, self.width])?)])
    }

    /// The encoder for embeddings of a shape `[B, T, D]`.
    fn graph(&self, shape: [usize; 3]) -> Result<Graph> {
        let builder = Builder::new();
        let m = Scope::new(&builder, "text_encoder", &self.component.weights);
        let embeddings = builder.input("embeddings", TensorType::real(shape));
        builder.output("hidden", text_encoder(&m, &self.config, embeddings));
        Ok(fuse(builder.finish()?))
    }
}

/// The width of both tables, of tokens and of positions, which have to fit together and reach as
/// far as the tokens do.
fn embedding_width(weights: &Weights, tokens: usize) -> Result<usize> {
    let shape = |name: &str| weights.shape(name).unwrap_or_default().to_vec();
    let (token, position) = (shape(TOKENS), shape(POSITIONS));
    match (token.as_slice(), position.as_slice()) {
        (&[rows, width], &[count, also])
            if rows * width > 0 && width == also && tokens <= count =>
        {
            Ok(width)
        }
        _ => {
            let message = format!(
                "text_encoder: expected {TOKENS} [_, D] and {POSITIONS} [{tokens} or more, D], got \
                 {token:?} and {position:?}"
            );
            Err(Error::new(ErrorKind::Weights, message))
        }
    }
}
