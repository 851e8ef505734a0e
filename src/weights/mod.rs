//! Reading the weights of a model from unmodified diffusers files.
//!
//! [`Weights`] is one component (`unet`, `vae`, `text_encoder`): a map from PyTorch names to
//! tensors in memory-mapped or embedded files. Nothing is read until a tensor is asked for, and
//! one tensor at a time is enough: [`Weights::pack`] converts it to its layout on the GPU.
//!
//! ```no_run
//! use croquis::shape::Storage;
//! use croquis::weights::{Packing, Weights};
//!
//! # fn main() -> croquis::error::Result<()> {
//! let weights = Weights::open("unet/diffusion_pytorch_model.safetensors")?;
//! let bytes = weights.pack("conv_in.weight", Packing::Conv, Storage::F16)?;
//! # Ok(())
//! # }
//! ```

mod diagnose;
mod pack;
mod safetensors;
mod values;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ::safetensors::Dtype;

pub use self::safetensors::Source;
pub use pack::{Packing, pack, packed_len, packed_shape};
pub use values::Values;

use self::safetensors::File;
use crate::error::{Error, ErrorKind, Result};
use crate::shape::Storage;

/// The tensors of one component, in one file or several. Cloning it copies names, not tensors.
#[derive(Clone)]
pub struct Weights {
    files: Vec<Arc<File>>,
    tensors: BTreeMap<String, Entry>,
}

/// Where a tensor is and what it looks like.
#[derive(Clone)]
struct Entry {
    /// Index in `Weights::files`.
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Bytes in the file, checked against its length.
    range: Range<usize>,
    /// Whether the file has the transpose of the matrix.
    transposed: bool,
}

/// What of a file's tensor becomes a tensor of another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// All of it.
    Whole,
    /// Some of its rows, which are the steps of its first dimension.
    Rows(Range<usize>),
    /// The transpose of a matrix.
    Transposed,
}

impl Weights {
    /// The tensors of a safetensors file in memory; `name` stands for the file in messages.
    ///
    /// # Errors
    /// `Format` naming the file, and where possible the tensor, if it is damaged, truncated or
    /// not a safetensors file.
    pub fn from_bytes(name: impl Into<String>, source: impl Into<Source>) -> Result<Self> {
        let (file, entries) = File::parse(name.into(), source.into())?;
        let tensors = entries
            .map(|(name, dtype, shape, range)| {
                (name, Entry { file: 0, dtype, shape, range, transposed: false })
            })
            .collect();
        Ok(Weights { files: vec![Arc::new(file)], tensors })
    }

    /// The tensors of a safetensors file, memory-mapped: the system reads what is used. The file
    /// must not be changed by anyone while the `Weights` or a clone of it lives.
    ///
    /// # Errors
    /// `NotFound` or `Io` with the path; else as [`Weights::from_bytes`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(path: impl AsRef<std::path::Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::from_bytes(path.display().to_string(), Source::map(path)?)
    }

    /// These tensors and those of another file of the same component (a shard).
    ///
    /// # Errors
    /// `Weights` if both files have a tensor of the same name.
    pub fn merge(mut self, other: Weights) -> Result<Self> {
        let first = self.files.len();
        self.files.extend(other.files);
        for (name, mut entry) in other.tensors {
            entry.file += first;
            let file = entry.file;
            if let Some(twin) = self.tensors.insert(name.clone(), entry) {
                return Err(Error::new(
                    ErrorKind::Weights,
                    format!(
                        "{name}: expected in one file, got it in {} and {}",
                        self.files[twin.file].name(),
                        self.files[file].name()
                    ),
                ));
            }
        }
        Ok(self)
    }

    /// The same tensors with `prefix` removed from the names that have it. CLIP's weights are
    /// saved with `text_model.` by transformers 4 and without it by 5: this accepts both.
    ///
    /// # Errors
    /// `Weights` if two tensors would get the same name.
    pub fn without_prefix(self, prefix: &str) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        for (name, entry) in self.tensors {
            let short = name.strip_prefix(prefix).unwrap_or(&name).to_string();
            let file = entry.file;
            if tensors.insert(short.clone(), entry).is_some() {
                return Err(Error::new(
                    ErrorKind::Weights,
                    format!(
                        "{}: expected {short} either with or without the prefix {prefix:?}, got both",
                        self.files[file].name()
                    ),
                ));
            }
        }
        Ok(Weights { files: self.files, tensors })
    }

    /// The same tensors under other names: `map` gets each name and shape, and tells what becomes
    /// of it: nothing, one tensor, or several that are parts of it.
    ///
    /// # Errors
    /// `Weights` if two tensors would get the same name, or a view does not fit its tensor.
    pub fn map_names(
        self,
        mut map: impl FnMut(&str, &[usize]) -> Vec<(String, View)>,
    ) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        for (name, entry) in self.tensors {
            for (new, view) in map(&name, &entry.shape) {
                let file = self.files[entry.file].name();
                let viewed = entry.view(&view).map_err(|e| e.context(format!("{file}: {name}")))?;
                if tensors.insert(new.clone(), viewed).is_some() {
                    return Err(Error::new(
                        ErrorKind::Weights,
                        format!(
                            "{file}: {name}: expected one tensor that becomes {new}, got several"
                        ),
                    ));
                }
            }
        }
        Ok(Weights { files: self.files, tensors })
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The shape of a tensor as PyTorch saved it, if there is a tensor of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|entry| entry.shape.as_slice())
    }

    /// The numbers of a tensor, still in the file.
    ///
    /// # Errors
    /// `Weights` if there is no such tensor, or it is not f32, f16 or bf16.
    pub fn values(&self, name: &str) -> Result<Values<'_>> {
        let entry = self.entry(name)?;
        let file = &self.files[entry.file];
        let bytes = &file.bytes()[entry.range.clone()];
        match entry.dtype {
            Dtype::F32 => Ok(Values::F32(bytes)),
            Dtype::F16 => Ok(Values::F16(bytes)),
            Dtype::BF16 => Ok(Values::Bf16(bytes)),
            other => Err(Error::new(
                ErrorKind::Weights,
                format!("{}: {name}: expected f32, f16 or bf16, got {other:?}", file.name()),
            )),
        }
    }

    /// A tensor as f32, in the order of the file. Values that are not finite are passed on.
    ///
    /// # Errors
    /// As [`Weights::values`].
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>> {
        let values = self.values(name)?;
        let mut out = vec![0.0; values.len()];
        values.read(0, &mut out);
        Ok(out)
    }

    /// A tensor in its layout on the GPU; see [`Packing`].
    ///
    /// # Errors
    /// As [`Weights::values`] and [`pack()`], naming file and tensor.
    pub fn pack(&self, name: &str, packing: Packing, storage: Storage) -> Result<Vec<u8>> {
        let entry = self.entry(name)?;
        let path = format!("{}: {name}", self.files[entry.file].name());
        pack(&path, self.values(name)?, &entry.shape, packing, storage)
    }

    fn entry(&self, name: &str) -> Result<&Entry> {
        self.tensors.get(name).ok_or_else(|| {
            let files: Vec<_> = self.files.iter().map(|file| file.name()).collect();
            Error::new(
                ErrorKind::Weights,
                format!("{}: expected a tensor {name}, got none of that name", files.join(", ")),
            )
        })
    }
}

impl Entry {
    fn view(&self, view: &View) -> Result<Entry> {
        let mut entry = self.clone();
        let misfit = |expected: &str| {
            let got = &self.shape;
            Error::new(ErrorKind::Weights, format!("expected {expected}, got a shape of {got:?}"))
        };
        match view {
            View::Whole => {}
            View::Rows(rows) => {
                let count = self.shape.first().copied().unwrap_or(0);
                if rows.start > rows.end || rows.end > count {
                    return Err(misfit(&format!("rows {rows:?}")));
                }
                let row_bytes = self.range.len() / count.max(1);
                entry.shape[0] = rows.len();
                let start = self.range.start + rows.start * row_bytes;
                entry.range = start..start + rows.len() * row_bytes;
            }
            View::Transposed => {
                if self.shape.len() != 2 {
                    return Err(misfit("a matrix"));
                }
                entry.shape.reverse();
                entry.transposed = !self.transposed;
            }
        }
        Ok(entry)
    }
}
