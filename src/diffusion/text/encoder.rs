//! One CLIP text encoder with its tokenizer.

use super::chunks::{Chunk, Token};
use super::inversion::Table;
use super::weighting::weigh;
use crate::diffusion::component::Component;
use crate::diffusion::files::ModelFiles;
use crate::error::{Error, ErrorKind, Result};
use crate::gpu::Gpu;
use crate::graph::passes::fuse;
use crate::graph::{Builder, Graph, Scope};
use crate::lora::Patches;
use crate::models::clip::{
    ClipConfig, POSITIONS, Reading, TOKENS, embed_with_vectors, text_states,
};
use crate::models::parse_config;
use crate::shape::TensorType;
use crate::tokenizer::{Tokenizer, TokenizerFiles};
use crate::weights::Weights;

/// A tokenizer and the encoder that reads its tokens.
pub(super) struct ClipEncoder {
    /// The component's folder.
    pub folder: &'static str,
    pub tokenizer: Tokenizer,
    /// Width of a token's embedding.
    pub width: usize,
    /// Vectors of new words, by their index.
    pub embeddings: Vec<Table>,
    config: ClipConfig,
    /// What a request without clip skip reads.
    reading: Reading,
    /// Programs by the number of texts and the layers left out.
    component: Component<(usize, usize)>,
}

/// What the encoder says about one chunk of each text.
pub(super) struct Encoding {
    /// `[texts, tokens, width]`, row-major.
    pub hidden: Vec<f32>,
    /// `[texts, pooled width]`, where they were asked for and the encoder makes them.
    pub pooled: Option<Vec<f32>>,
}

impl ClipEncoder {
    pub(super) fn open(
        files: &ModelFiles,
        folder: &'static str,
        tokenizer: Tokenizer,
        reading: Reading,
    ) -> Result<ClipEncoder> {
        let config = config(files, folder)?;
        let weights = files.weights(folder)?.without_prefix("text_model.")?;
        let width = width(&weights, tokenizer.max_length()).map_err(|e| e.context(folder))?;
        let component = Component::new(weights);
        let embeddings = Vec::new();
        Ok(ClipEncoder { folder, tokenizer, width, embeddings, config, reading, component })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.component.bytes()
    }

    /// Forgets the programs for other numbers of texts and layers left out.
    pub(super) fn retain(&mut self, keys: &[(usize, usize)]) {
        self.component.retain(|key| keys.contains(key));
    }

    pub(super) fn unload(&mut self) {
        self.component.unload();
    }

    /// The names of the weights.
    pub(super) fn names(&self) -> Vec<&str> {
        self.component.weights.names().collect()
    }

    /// Adds to the weights, in place of what was added before.
    pub(super) fn set_patches(&mut self, patches: Patches) -> Result<()> {
        self.component.weights.set_patches(patches)?;
        self.component.unload();
        Ok(())
    }

    /// Width of the pooled embeddings, if the encoder makes them.
    pub(super) fn pooled_width(&self) -> Option<usize> {
        let shape = self.component.weights.shape("text_projection.weight")?;
        self.reading.projection.then_some(*shape.first()?)
    }

    /// Encodes one chunk of each text, with `skip` more of the last layers left out.
    pub(super) async fn encode(
        &mut self,
        gpu: &Gpu,
        chunks: &[&Chunk],
        skip: usize,
        pooled: bool,
    ) -> Result<Encoding> {
        let mut embedded = Vec::new();
        let mut pooled_positions = Vec::new();
        for chunk in chunks {
            // Vectors of new words have no id; 0 is never the end of a text.
            let ids = chunk.tokens.iter().map(|token| match token {
                Token::Id(id) => *id,
                Token::Vector { .. } => 0,
            });
            let ids = self.tokenizer.row(&ids.collect::<Vec<_>>());
            pooled_positions.push(self.config.pooled_position(&ids));
            let rows = embed_with_vectors(&self.component.weights, &ids, &self.vectors(chunk));
            embedded.extend(rows.map_err(|error| error.context(self.folder))?);
        }
        let key = (chunks.len(), skip);
        let program = match self.component.program(&key) {
            Some(program) => program,
            None => {
                let graph = self.graph(chunks.len(), skip)?;
                self.component.compile(gpu, key, &graph, &[]).await?
            }
        };
        program.write("embeddings", &embedded)?;
        program.run();
        let mut hidden = program.read("hidden").await?;
        let texts = hidden.chunks_exact_mut(self.tokenizer.max_length() * self.width);
        for (states, chunk) in texts.zip(chunks) {
            weigh(states, &chunk.weights, self.width)?;
        }
        let Some(width) = self.pooled_width().filter(|_| pooled) else {
            return Ok(Encoding { hidden, pooled: None });
        };
        let projected = program.read("projected").await?;
        let texts = projected.chunks_exact(self.tokenizer.max_length() * width);
        let rows = texts.zip(pooled_positions).flat_map(|(text, at)| &text[at * width..][..width]);
        let pooled = Some(rows.copied().collect());
        Ok(Encoding { hidden, pooled })
    }

    /// The vectors of a chunk's new words, and where they stand in the row: after the start.
    fn vectors(&self, chunk: &Chunk) -> Vec<(usize, &[f32])> {
        let tokens = chunk.tokens.iter().enumerate();
        tokens
            .filter_map(|(position, token)| match *token {
                Token::Id(_) => None,
                Token::Vector { embedding, row } => {
                    let table = self.embeddings.get(embedding)?;
                    let vector = table.values.chunks_exact(table.width).nth(row)?;
                    Some((position + 1, vector))
                }
            })
            .collect()
    }

    /// The encoder of `texts` rows of tokens.
    pub(super) fn graph(&self, texts: usize, skip: usize) -> Result<Graph> {
        let builder = Builder::new();
        let m = Scope::new(&builder, self.folder, &self.component.weights);
        let shape = [texts, self.tokenizer.max_length(), self.width];
        let embeddings = builder.input("embeddings", TensorType::real(shape));
        let reading = Reading { skip: self.reading.skip + skip, ..self.reading };
        let states = text_states(&m, &self.config, embeddings, reading);
        builder.output("hidden", states.hidden);
        if let Some(projected) = states.projected {
            builder.output("projected", projected);
        }
        Ok(fuse(builder.finish()?))
    }
}

/// The configuration of the encoder in a folder.
pub(super) fn config(files: &ModelFiles, folder: &str) -> Result<ClipConfig> {
    let file = format!("{folder}/config.json");
    parse_config(&file, &files.text(&file)?)
}

/// The tokenizer in a folder, for an encoder of at most `max_length` tokens.
pub(super) fn tokenizer(files: &ModelFiles, folder: &str, max_length: usize) -> Result<Tokenizer> {
    let read = |name: &str| files.read(&format!("{folder}/{name}"));
    let tokenizer_json = read("tokenizer.json")?;
    let (vocab_json, merges_txt) = (read("vocab.json")?, read("merges.txt")?);
    let (config_json, special) = (read("tokenizer_config.json")?, read("special_tokens_map.json")?);
    let files = TokenizerFiles {
        tokenizer_json: tokenizer_json.as_deref(),
        vocab_json: vocab_json.as_deref(),
        merges_txt: merges_txt.as_deref(),
        tokenizer_config: config_json.as_deref(),
        special_tokens_map: special.as_deref(),
    };
    Tokenizer::new(&files, max_length)
}

/// The width of both tables, of tokens and of positions, which have to fit together and reach as
/// far as the tokens do.
fn width(weights: &Weights, tokens: usize) -> Result<usize> {
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
                "expected {TOKENS} [_, D] and {POSITIONS} [{tokens} or more, D], got {token:?} and \
                 {position:?}"
            );
            Err(Error::new(ErrorKind::Weights, message))
        }
    }
}
