//! CLIP's text encoder as a [`TextNetwork`].

use super::clip::{ClipConfig, POSITIONS, Reading, TOKENS, embed_with_vectors, text_states};
use super::network::{TextNetwork, TextStates};
use super::parse_config;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Scope, Tensor};
use crate::weights::Weights;

/// A CLIP text encoder and the layers that a family reads of it.
pub struct ClipNetwork {
    config: ClipConfig,
    reading: Reading,
    width: usize,
    pooled_width: Option<usize>,
}

impl ClipNetwork {
    /// Reads a `CLIPTextModel`'s `config.json`; sizes are those of the weights.
    ///
    /// # Errors
    /// `Config` if the text is not such a configuration; `Weights` if the tables of tokens and
    /// positions do not fit together.
    pub fn open(
        file: &str,
        config: &str,
        weights: &Weights,
        reading: Reading,
    ) -> Result<Box<dyn TextNetwork>> {
        let config: ClipConfig = parse_config(file, config)?;
        let folder = file.rsplit_once('/').map_or(file, |(folder, _)| folder);
        let width =
            width(weights, config.max_position_embeddings).map_err(|e| e.context(folder))?;
        let projection = weights.shape("text_projection.weight").and_then(|s| s.first().copied());
        let pooled_width = projection.filter(|_| reading.projection);
        Ok(Box::new(ClipNetwork { config, reading, width, pooled_width }))
    }
}

impl TextNetwork for ClipNetwork {
    fn tokens(&self) -> usize {
        self.config.max_position_embeddings
    }

    fn width(&self) -> usize {
        self.width
    }

    fn pooled_width(&self) -> Option<usize> {
        self.pooled_width
    }

    fn pooled_position(&self, ids: &[u32]) -> usize {
        self.config.pooled_position(ids)
    }

    fn embed(
        &self,
        weights: &Weights,
        ids: &[u32],
        vectors: &[(usize, &[f32])],
    ) -> Result<Vec<f32>> {
        embed_with_vectors(weights, ids, vectors)
    }

    fn states<'g>(&self, m: &Scope<'g>, embeddings: Tensor<'g>, skip: usize) -> TextStates<'g> {
        let reading = Reading { skip: self.reading.skip + skip, ..self.reading };
        text_states(m, &self.config, embeddings, reading)
    }
}

/// The width of the tables of tokens and of positions, which have to fit together and reach as far
/// as the tokens do.
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
