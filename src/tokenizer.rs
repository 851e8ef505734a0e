//! CLIP's tokenizer: turns a prompt into the fixed-length row of token ids that a text encoder
//! reads.
//!
//! Byte-level byte-pair encoding with `</w>` at the end of a word, lower case, as in transformers'
//! `CLIPTokenizer` (Radford et al. 2021, arXiv 2103.00020, section 2.4). Both ways to ship a
//! vocabulary, `tokenizer.json` and `vocab.json` + `merges.txt`, build the same pipeline.

mod clip;
mod special;
mod vocabulary;

use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::replace::{Replace, ReplacePattern};
use tokenizers::normalizers::{self, Lowercase, NFC};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, Encoding, SplitDelimiterBehavior, Tokenizer as Pipeline};

use crate::error::{Error, ErrorKind, Result};
pub use clip::clip_merges;
pub(crate) use clip::clip_tokens;
use special::SpecialTokens;
pub(crate) use special::{END_OF_TEXT, START_OF_TEXT};
use vocabulary::Vocabulary;

/// CLIP's regular expression for one word, applied before byte-pair encoding.
const WORD: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// The suffix that marks the last token of a word.
const END_OF_WORD: &str = "</w>";

/// The files of a diffusers `tokenizer/` folder; `None` where a file is missing. Either
/// `tokenizer_json` or both `vocab_json` and `merges_txt` are needed; `tokenizer_json` is used if
/// all are there.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenizerFiles<'a> {
    /// `tokenizer.json`: vocabulary, merges and added tokens in one file.
    pub tokenizer_json: Option<&'a [u8]>,
    /// `vocab.json`: token → id.
    pub vocab_json: Option<&'a [u8]>,
    /// `merges.txt`: one pair of tokens a line, in the order of the merges.
    pub merges_txt: Option<&'a [u8]>,
    /// `tokenizer_config.json`: names of the special tokens, `model_max_length`.
    pub tokenizer_config: Option<&'a [u8]>,
    /// `special_tokens_map.json`: names of the special tokens.
    pub special_tokens_map: Option<&'a [u8]>,
}

/// A CLIP tokenizer: the vocabulary and the special tokens of one model.
pub struct Tokenizer {
    pipeline: Pipeline,
    max_length: usize,
    vocab_size: usize,
    bos: u32,
    eos: u32,
    pad: u32,
    comma: Option<u32>,
}

/// An encoded text: one row of token ids, and what was truncated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Exactly [`Tokenizer::max_length`] ids: start, tokens, end, padding.
    pub ids: Vec<u32>,
    /// Index of the first end-of-text token: CLIP's pooled output is taken there.
    pub eos_position: usize,
    /// Number of tokens of the whole text, without start and end; more than `max_length - 2` are
    /// truncated.
    pub tokens: usize,
    /// The end of the text that was truncated and has no influence, for a message to the user.
    pub truncated: Option<String>,
}

impl Tokenizer {
    /// Builds the tokenizer of a text encoder that reads `max_length` ids
    /// (`max_position_embeddings`: 77 for CLIP), or `model_max_length` of `tokenizer_config.json`
    /// if that is smaller, as in diffusers.
    ///
    /// # Errors
    /// `NotFound` if files are missing, `Format` naming the file if one is damaged, `Unsupported`
    /// if the vocabulary is not of CLIP's kind, `Argument` if `max_length < 3`.
    pub fn new(files: &TokenizerFiles<'_>, max_length: usize) -> Result<Self> {
        Self::build(Vocabulary::read(files)?, &SpecialTokens::read(files)?, max_length)
    }

    /// Builds the tokenizer of a parsed vocabulary; errors as [`new`](Tokenizer::new).
    fn build(vocabulary: Vocabulary, special: &SpecialTokens, max_length: usize) -> Result<Self> {
        let max_length = max_length.min(special.model_max_length.unwrap_or(usize::MAX));
        if max_length < 3 {
            return Err(Error::new(
                ErrorKind::Argument,
                format!(
                    "tokenizer: expected a maximum length of at least 3 ids (start, one token, \
                     end), got {max_length}"
                ),
            ));
        }

        let file = vocabulary.file;
        let failed = |error| {
            Error::new(ErrorKind::Format, format!("{file}: not a usable vocabulary"))
                .with_source(error)
        };
        let vocab_size = vocabulary.vocab_size();
        let mut pipeline = pipeline(vocabulary.vocab, vocabulary.merges, &special.unk)
            .and_then(|mut pipeline| {
                pipeline.add_tokens(vocabulary.added.iter().map(|added| added.token.clone()))?;
                Ok(pipeline)
            })
            .map_err(failed)?;
        for added in &vocabulary.added {
            let got = pipeline.token_to_id(&added.token.content);
            if got != Some(added.id) {
                return Err(Error::new(
                    ErrorKind::Format,
                    format!(
                        "{file}: added token {:?}: expected the next free id {}, got {}",
                        added.token.content,
                        got.unwrap_or_default(),
                        added.id
                    ),
                ));
            }
        }
        let id = |token: &str| {
            pipeline.token_to_id(token).ok_or_else(|| {
                Error::new(
                    ErrorKind::Format,
                    format!("{file}: the special token {token:?} is not in the vocabulary"),
                )
            })
        };
        let (bos, eos, pad) = (id(&special.bos)?, id(&special.eos)?, id(&special.pad)?);
        id(&special.unk)?;
        // Typed in a prompt, the special tokens stand for themselves, "!" too where it is the
        // padding (SD 2).
        pipeline
            .add_special_tokens(special.names().map(|name| AddedToken::from(name, true)))
            .map_err(failed)?;
        let comma = pipeline.token_to_id(&format!(",{END_OF_WORD}"));
        Ok(Tokenizer { pipeline, max_length, vocab_size, bos, eos, pad, comma })
    }

    /// The number of ids in every row.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// The largest id plus one: the token embedding needs at least this many rows.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The position in a row of the first token of the text: after the start token.
    pub fn first_position(&self) -> usize {
        1
    }

    /// The number of token ids of a text that fit into a row, which also holds start and end.
    pub fn capacity(&self) -> usize {
        self.max_length - 2
    }

    /// The id of a comma between words, if the vocabulary has one.
    pub fn comma(&self) -> Option<u32> {
        self.comma
    }

    /// The same tokenizer with another padding token; see [`Tokenizer::clip`] for those of
    /// published models.
    ///
    /// # Errors
    /// `Format` if `pad` is not a token of the vocabulary.
    pub fn with_padding(mut self, pad: &str) -> Result<Self> {
        let unusable = || {
            let message = format!("tokenizer: the padding {pad:?} is not in the vocabulary");
            Error::new(ErrorKind::Format, message)
        };
        self.pad = self.pipeline.token_to_id(pad).ok_or_else(unusable)?;
        self.pipeline
            .add_special_tokens([AddedToken::from(pad, true)])
            .map_err(|error| unusable().with_source(error))?;
        Ok(self)
    }

    /// The token ids of a text of any length, without start, end and padding.
    ///
    /// # Errors
    /// `Format` if the vocabulary cannot express the text (only if it is damaged).
    pub fn ids(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.tokens(text)?.get_ids().to_vec())
    }

    /// A row of [`max_length`](Tokenizer::max_length) ids: start, the first
    /// [`capacity`](Tokenizer::capacity) of `ids`, end, padding.
    pub fn row(&self, ids: &[u32]) -> Vec<u32> {
        let mut row = Vec::with_capacity(self.max_length);
        row.push(self.bos);
        row.extend(ids.iter().take(self.capacity()));
        row.push(self.eos);
        row.resize(self.max_length, self.pad);
        row
    }

    /// Encodes a text as one row of ids; tokens that do not fit are left out.
    ///
    /// # Errors
    /// As [`ids`](Tokenizer::ids).
    pub fn encode(&self, text: &str) -> Result<Encoded> {
        let tokens = self.tokens(text)?;
        let truncated = tokens.get_offsets().get(self.capacity()).map(|&(start, _)| {
            // An offset inside a character is moved to the character's start.
            let start = (0..=start).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            text[start..].trim().to_string()
        });
        let ids = self.row(tokens.get_ids());
        let eos_position = ids.iter().position(|&id| id == self.eos).unwrap_or_default();
        Ok(Encoded { ids, eos_position, tokens: tokens.len(), truncated })
    }

    fn tokens(&self, text: &str) -> Result<Encoding> {
        self.pipeline.encode(text, false).map_err(|error| {
            Error::new(ErrorKind::Format, "tokenizer: the vocabulary cannot express the text")
                .with_source(error)
        })
    }
}

/// The tokenizers pipeline as transformers assembles it: normaliser, word pattern, byte-pair
/// encoding.
fn pipeline(vocab: Vocab, merges: Merges, unk: &str) -> tokenizers::Result<Pipeline> {
    let model = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .continuing_subword_prefix(String::new())
        .end_of_word_suffix(END_OF_WORD.into())
        .unk_token(unk.into())
        .build()?;
    let mut pipeline = Pipeline::new(model);
    let spaces = Replace::new(ReplacePattern::Regex(r"\s+".into()), " ")?;
    pipeline.with_normalizer(Some(normalizers::Sequence::new(vec![
        NFC.into(),
        spaces.into(),
        Lowercase.into(),
    ])))?;
    let words =
        Split::new(SplitPattern::Regex(WORD.into()), SplitDelimiterBehavior::Removed, true)?;
    pipeline.with_pre_tokenizer(Some(Sequence::new(vec![
        words.into(),
        ByteLevel::new(false, true, true).into(),
    ])));
    Ok(pipeline)
}
