//! One text encoder with its tokenizer.

use super::chunks::{Chunk, Token};
use super::inversion::Table;
use super::weighting::weigh;
use crate::components::component::Component;
use crate::error::Result;
use crate::families::{EncoderPlan, TokenizerPlan};
use crate::files::ModelFiles;
use crate::gpu::Gpu;
use crate::graph::passes::fuse;
use crate::graph::{Builder, Graph, Plan, Scope};
use crate::kernels::Target;
use crate::lora::Patches;
use crate::models::network::TextNetwork;
use crate::shape::TensorType;
use crate::tokenizer::{Tokenizer, TokenizerFiles};
use std::sync::Arc;

/// A tokenizer and the encoder that reads its tokens.
pub(super) struct Encoder {
    /// The component's folder.
    pub folder: &'static str,
    pub tokenizer: Tokenizer,
    /// Width of a token's embedding.
    pub width: usize,
    /// Vectors of textual inversions, by the index of their word.
    pub embeddings: Vec<Table>,
    network: Box<dyn TextNetwork>,
    /// Plans and programs by the number of texts and the layers left out.
    component: Component<(usize, usize)>,
}

/// The result of encoding one chunk of each text.
pub(super) struct Encoding {
    /// `[texts, tokens, width]`, row-major.
    pub hidden: Vec<f32>,
    /// `[texts, pooled width]`, where they were asked for and the encoder makes them.
    pub pooled: Option<Vec<f32>>,
}

impl Encoder {
    pub(super) fn open(plan: &EncoderPlan, files: &ModelFiles) -> Result<Encoder> {
        let folder = plan.folder;
        let file = format!("{folder}/config.json");
        let config = files.text(&file)?;
        let weights = files.weights(folder)?.without_prefix(plan.prefix)?;
        let network = (plan.network)(&file, &config, &weights)?;
        let tokenizer = open_tokenizer(&plan.tokenizer, files, network.tokens())?;
        let (width, component) = (network.width(), Component::new(weights));
        Ok(Encoder { folder, tokenizer, width, embeddings: Vec::new(), network, component })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.component.bytes()
    }

    /// Drops the programs for other numbers of texts and layers left out.
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

    /// Sets the low-rank patches of the weights, in place of earlier ones.
    pub(super) fn set_patches(&mut self, patches: Patches) -> Result<()> {
        self.component.weights.set_patches(patches)?;
        self.component.unload();
        Ok(())
    }

    /// Width of the pooled embeddings, if the encoder makes them.
    pub(super) fn pooled_width(&self) -> Option<usize> {
        self.network.pooled_width()
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
            pooled_positions.push(self.network.pooled_position(&ids));
            let rows = self.network.embed(&self.component.weights, &ids, &self.vectors(chunk));
            embedded.extend(rows.map_err(|error| error.context(self.folder))?);
        }
        let key = (chunks.len(), skip);
        let program = match self.component.program(&key) {
            Some(program) => program,
            None => {
                let plan = self.plan(chunks.len(), skip, gpu.target())?;
                self.component.compile(gpu, key, plan, &[]).await?
            }
        };
        program.write("embeddings", &embedded)?;
        program.run();
        let mut hidden = program.read("hidden").await?;
        let texts = hidden.chunks_exact_mut(self.tokenizer.max_length() * self.width);
        for (states, chunk) in texts.zip(chunks) {
            weigh(states, &chunk.weights, self.width, self.tokenizer.first_position())?;
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
                    Some((self.tokenizer.first_position() + position, vector))
                }
            })
            .collect()
    }

    /// The plan that encodes a chunk of `texts` texts; it is kept.
    pub(super) fn plan(&self, texts: usize, skip: usize, target: &Target) -> Result<Arc<Plan>> {
        self.component.plan(&(texts, skip), target, || self.graph(texts, skip))
    }

    fn graph(&self, texts: usize, skip: usize) -> Result<Graph> {
        let builder = Builder::new();
        let m = Scope::new(&builder, self.folder, &self.component.weights);
        let shape = [texts, self.tokenizer.max_length(), self.width];
        let embeddings = builder.input("embeddings", TensorType::real(shape));
        let states = self.network.states(&m, embeddings, skip);
        builder.output("hidden", states.hidden);
        if let Some(projected) = states.projected {
            builder.output("projected", projected);
        }
        Ok(fuse(builder.finish()?))
    }
}

/// The tokenizer of a plan, for an encoder of at most `max_length` tokens.
fn open_tokenizer(
    plan: &TokenizerPlan,
    files: &ModelFiles,
    max_length: usize,
) -> Result<Tokenizer> {
    if let Some((folder, padding)) = plan.fallback {
        let mut own = false;
        for name in ["tokenizer.json", "vocab.json", "merges.txt"] {
            own |= files.read(&format!("{}/{name}", plan.folder))?.is_some();
        }
        if !own {
            return read_tokenizer(plan, files, folder, max_length)?.with_padding(padding);
        }
    }
    read_tokenizer(plan, files, plan.folder, max_length)
}

fn read_tokenizer(
    plan: &TokenizerPlan,
    files: &ModelFiles,
    folder: &str,
    max_length: usize,
) -> Result<Tokenizer> {
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
    (plan.open)(&files, max_length)
}
