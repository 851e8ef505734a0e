//! Textual inversion: new words for prompts, each with learned token embeddings
//! (Gal et al., arXiv 2208.01618).

use crate::error::{Error, ErrorKind, Result};
use crate::weights::pickle::{is_pickle, is_pickle_name};
use crate::weights::{Source, Weights};

/// The tables of a file for Stable Diffusion XL, those of its first and of its second encoder.
const PAIR: [&str; 2] = ["clip_l", "clip_g"];

/// The key in the files of stable-diffusion-webui, which do not state the word.
const NAMELESS: &str = "emb_params";

/// A textual inversion: a word with its vectors, one table for each text encoder.
#[derive(Clone, Debug)]
pub struct TextualInversion {
    placeholder: String,
    tables: Vec<Table>,
}

/// Vectors `[rows, width]`, row-major.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub rows: usize,
    pub width: usize,
    pub values: Vec<f32>,
}

impl TextualInversion {
    /// Reads a `.safetensors` file: `emb_params` `[n, D]` (stable-diffusion-webui) or `clip_l` and
    /// `clip_g` (Stable Diffusion XL), whose word is the file's name without the ending, or one
    /// tensor `[D]` or `[n, D]` whose name is the word (diffusers).
    ///
    /// # Errors
    /// `NotFound` or `Io` with the path; else as [`from_bytes`](TextualInversion::from_bytes).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(path: impl AsRef<std::path::Path>) -> Result<TextualInversion> {
        let path = path.as_ref();
        TextualInversion::from_bytes(path.display().to_string(), Source::open(path)?)
    }

    /// [`open`](TextualInversion::open) for a file in memory, `name` being the file name.
    ///
    /// # Errors
    /// `Unsupported` for a Python pickle (`.pt`, `.bin`); `Format` or `Weights` if the file is
    /// damaged, or holds something else.
    pub fn from_bytes(
        name: impl Into<String>,
        source: impl Into<Source>,
    ) -> Result<TextualInversion> {
        let (name, source) = (name.into(), source.into());
        let file = name.rsplit(['/', '\\']).next().unwrap_or(&name);
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        refuse_pickle(&name, &source)?;
        let weights = Weights::from_bytes(name.clone(), source)?;
        let keys: Vec<_> = weights.names().map(String::from).collect();
        let (placeholder, keys): (&str, Vec<&str>) = match keys.as_slice() {
            [g, l] if [l.as_str(), g] == PAIR => (stem, PAIR.to_vec()),
            [key] if key == NAMELESS => (stem, vec![key]),
            [key] => (key, vec![key]),
            other => {
                let some: Vec<_> = other.iter().take(5).map(String::as_str).collect();
                let message = format!(
                    "{name}: expected a textual inversion ({NAMELESS}, one tensor named like its \
                     word, or {} and {}), got {} tensors: {}",
                    PAIR[0],
                    PAIR[1],
                    other.len(),
                    some.join(", ")
                );
                return Err(Error::new(ErrorKind::Format, message));
            }
        };
        let tables = keys.iter().map(|key| Table::read(&name, &weights, key));
        let tables: Vec<Table> = tables.collect::<Result<_>>()?;
        if tables.iter().any(|table| table.rows != tables[0].rows) {
            let rows: Vec<_> = tables.iter().map(|table| table.rows).collect();
            let message = format!("{name}: expected as many vectors in both tables, got {rows:?}");
            return Err(Error::new(ErrorKind::Weights, message));
        }
        TextualInversion { placeholder: String::new(), tables }.with_placeholder(placeholder)
    }

    /// The word that stands for the vectors. In a prompt, upper and lower case are the same, and
    /// no letter or digit may adjoin it.
    pub fn placeholder(&self) -> &str {
        &self.placeholder
    }

    /// The same vectors for another word.
    ///
    /// # Errors
    /// `Argument` for a word without visible characters.
    pub fn with_placeholder(mut self, placeholder: &str) -> Result<TextualInversion> {
        self.placeholder = placeholder.trim().to_string();
        if self.placeholder.is_empty() {
            let message = "textual inversion: expected a word, got only spaces";
            return Err(Error::new(ErrorKind::Argument, message));
        }
        Ok(self)
    }

    /// The number of tokens that the word takes.
    pub fn rows(&self) -> usize {
        self.tables.first().map_or(0, |table| table.rows)
    }

    pub(super) fn tables(&self) -> &[Table] {
        &self.tables
    }
}

impl Table {
    fn read(file: &str, weights: &Weights, key: &str) -> Result<Table> {
        let name = format!("{file}: {key}");
        let shape = weights.shape(key).unwrap_or_default();
        let (rows, width) = match *shape {
            [width] if width > 0 => (1, width),
            [rows, width] if rows * width > 0 => (rows, width),
            _ => {
                let message = format!("{name}: expected shape [D] or [n, D], got {shape:?}");
                return Err(Error::new(ErrorKind::Weights, message));
            }
        };
        let values = weights.read_f32(key)?;
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            let message = format!("{name}: expected finite values, got {value}");
            return Err(Error::new(ErrorKind::Weights, message));
        }
        Ok(Table { rows, width, values })
    }
}

/// Refuses a pickle, by its name or first bytes: reading one can run any code.
fn refuse_pickle(name: &str, source: &Source) -> Result<()> {
    let bytes = source.start(16).map_err(|error| error.context(name))?;
    if !is_pickle_name(name) && !is_pickle(&bytes) {
        return Ok(());
    }
    let message = format!(
        "{name}: expected a .safetensors file, got a Python pickle, which can run any code when it \
         is read; get the .safetensors version, or convert a file that you trust: in Python, d = \
         torch.load(file, weights_only=True); safetensors.torch.save_file({{\"{NAMELESS}\": \
         d[\"string_to_param\"][\"*\"].detach().contiguous()}}, \"name.safetensors\")"
    );
    Err(Error::new(ErrorKind::Unsupported, message))
}

/// A word to look for in prompts.
pub(super) struct Placeholder {
    /// In lower case.
    pub name: String,
    /// The number of tokens in its place.
    pub rows: usize,
}

impl Placeholder {
    pub(super) fn new(embedding: &TextualInversion) -> Placeholder {
        Placeholder { name: embedding.placeholder.to_lowercase(), rows: embedding.rows() }
    }

    /// The length in bytes of the word in a text at `at`, a character boundary; `None` if it is not
    /// there.
    pub(super) fn length_at(&self, text: &str, at: usize) -> Option<usize> {
        let (before, after) = text.split_at(at);
        let mut name = self.name.as_str();
        let mut length = 0;
        for character in after.chars() {
            if name.is_empty() {
                break;
            }
            for lower in character.to_lowercase() {
                name = name.strip_prefix(lower)?;
            }
            length += character.len_utf8();
        }
        let adjoin = |a: Option<char>, b: Option<char>| {
            a.is_some_and(char::is_alphanumeric) && b.is_some_and(char::is_alphanumeric)
        };
        let (first, last) = (self.name.chars().next(), self.name.chars().next_back());
        let begins = adjoin(before.chars().next_back(), first);
        let ends = adjoin(last, after[length..].chars().next());
        (name.is_empty() && !begins && !ends).then_some(length)
    }
}
