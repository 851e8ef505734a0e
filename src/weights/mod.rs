//! Reading the weights of a model from unmodified safetensors and GGUF files.
//!
//! [`Weights`] is one component (`unet`, `vae`, `text_encoder`): a map from PyTorch names to
//! tensors in files on disk or in memory. A tensor is read when it is asked for, one at a
//! time: [`Weights::pack`] converts it to the layout and format that a kernel reads, and adds the
//! patches of [`Weights::set_patches`].
//!
//! ```no_run
//! use croquis::internal::weights::{WeightFormat, WeightLayout, Weights};
//!
//! # fn main() -> croquis::error::Result<()> {
//! let weights = Weights::open("unet/diffusion_pytorch_model.safetensors")?;
//! let bytes = weights.pack("conv_in.weight", WeightLayout::Conv, WeightFormat::F16)?;
//! # Ok(())
//! # }
//! ```

mod block;
mod delta;
mod diagnose;
mod dtype;
mod entry;
mod file;
mod format;
mod gguf;
mod gguf_value;
mod header;
mod kquants;
mod layout;
mod low_rank;
mod names;
mod numbers;
#[cfg(not(target_arch = "wasm32"))]
mod on_disk;
mod pack;
mod part;
mod patch;
pub(crate) mod pickle;
mod quants;
mod safetensors;
mod source;
mod values;

use ::safetensors::tensor::TensorView;
use std::collections::BTreeMap;
use std::sync::Arc;

pub use delta::{Delta, FileTensor};
pub use dtype::{DataType, OtherType};
pub use entry::View;
pub use format::WeightFormat;
pub use layout::{WeightLayout, packed_len};
pub use low_rank::LowRank;
pub use pack::{pack, pack_part};
pub use part::Part;
pub use patch::{Axis, Patch, Scaling};
pub use source::Source;
pub use values::Values;

use self::entry::Entry;
use self::file::File;
use self::header::Found;
use self::numbers::Numbers;
use crate::error::{Error, ErrorKind, Result};

/// The tensors of one component, in one file or several. Cloning it copies names, not tensors.
#[derive(Clone)]
pub struct Weights {
    files: Vec<Arc<File>>,
    tensors: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
}

impl Weights {
    /// The tensors of a safetensors or GGUF file in memory; `name` stands for the file in
    /// messages.
    ///
    /// # Errors
    /// `Format` naming the file, and where possible the tensor, if it is damaged, truncated or
    /// of another format.
    pub fn from_bytes(name: impl Into<String>, source: impl Into<Source>) -> Result<Self> {
        let (file, header) = File::parse(name.into(), source.into())?;
        let entry = |Found { name, dtype, shape, range }| {
            let patches = Vec::new();
            (name, Entry { file: 0, dtype, shape, range, transposed: false, patches })
        };
        let tensors = header.tensors.into_iter().map(entry).collect();
        Ok(Weights { files: vec![Arc::new(file)], tensors, metadata: header.metadata })
    }

    /// Tensors of f32 values in memory, by name, each with its shape.
    ///
    /// # Errors
    /// `Weights` if a shape does not say how many values there are.
    pub fn from_f32(tensors: &BTreeMap<String, (Vec<usize>, Vec<f32>)>) -> Result<Self> {
        let mut views = Vec::new();
        for (name, (shape, values)) in tensors {
            let bytes = bytemuck::cast_slice(values);
            let view = TensorView::new(::safetensors::Dtype::F32, shape.clone(), bytes);
            views.push((name, view.map_err(|error| in_memory(name, error))?));
        }
        let file = ::safetensors::serialize(views, None);
        Self::from_bytes("memory", file.map_err(|error| in_memory("tensors", error))?)
    }

    /// The tensors of a safetensors or GGUF file; what is used is read from it when it is needed.
    ///
    /// # Errors
    /// `NotFound` or `Io` with the path; else as [`Weights::from_bytes`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(path: impl AsRef<std::path::Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::from_bytes(path.display().to_string(), Source::open(path)?)
    }

    /// The file on disk that the tensors are read from, by its name in messages; `None` if there are several files, or
    /// they are in memory.
    pub fn file_on_disk(&self) -> Option<&str> {
        match self.files.as_slice() {
            [file] if file.is_on_disk() => Some(file.name()),
            _ => None,
        }
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The shape of a tensor as PyTorch saved it, if there is a tensor of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|entry| entry.shape.as_slice())
    }

    /// The type of a tensor's numbers in the file, if there is a tensor of that name.
    pub fn dtype(&self, name: &str) -> Option<DataType> {
        self.tensors.get(name).map(|entry| entry.dtype)
    }

    /// The bytes that a tensor takes in the file, if there is a tensor of that name.
    pub fn bytes_in_file(&self, name: &str) -> Option<usize> {
        self.tensors.get(name).map(|entry| entry.range.len())
    }

    /// The file's metadata: the `__metadata__` of safetensors, the strings and numbers of GGUF.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Sets the patches that are applied to each tensor when it is read, one after another. Earlier
    /// ones are removed; with an empty map the weights are the file's again.
    ///
    /// # Errors
    /// `Weights` if there is no tensor of such a name, or a patch is not of its shape; then nothing
    /// changes.
    pub fn set_patches(&mut self, patches: BTreeMap<String, Vec<Patch>>) -> Result<()> {
        for (name, patches) in &patches {
            let entry = self.entry(name)?;
            let path = || format!("{}: {name}", self.files[entry.file].name());
            for patch in patches {
                patch.check(&entry.shape).map_err(|error| error.context(path()))?;
            }
        }
        for entry in self.tensors.values_mut() {
            entry.patches.clear();
        }
        for (name, patches) in patches {
            if let Some(entry) = self.tensors.get_mut(&name) {
                entry.patches = patches;
            }
        }
        Ok(())
    }

    /// The numbers of a tensor, still in the file.
    ///
    /// # Errors
    /// `Weights` if there is no such tensor, or its type cannot be read, such as integers.
    pub fn values(&self, name: &str) -> Result<Values<'_>> {
        let entry = self.entry(name)?;
        Ok(Values::patched(self.numbers(name)?, &entry.shape, &entry.patches))
    }

    /// The numbers of a tensor as they are in the file.
    fn numbers(&self, name: &str) -> Result<Numbers<'_>> {
        let entry = self.entry(name)?;
        let file = &self.files[entry.file];
        let (dtype, range) = (entry.dtype, entry.range.clone());
        Numbers::in_file(dtype, file, range, entry.file_matrix()).ok_or_else(|| {
            let (file, got) = (file.name(), entry.dtype);
            let message = format!(
                "{file}: {name}: expected f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1 or q2_k to \
                 q6_k, got {got}"
            );
            Error::new(ErrorKind::Weights, message)
        })
    }

    /// A tensor that stays in its file, as a change of another weight. Its patches are not applied.
    ///
    /// # Errors
    /// As [`Weights::values`]; `Weights` if a value is not finite.
    pub fn file_tensor(&self, name: &str) -> Result<FileTensor> {
        let entry = self.entry(name)?;
        if entry.transposed {
            let file = self.files[entry.file].name();
            let message = format!("{file}: {name}: expected a tensor as it is in the file");
            return Err(Error::new(ErrorKind::Weights, message));
        }
        let numbers = self.numbers(name)?;
        let mut run = [0.0; 1024];
        for start in (0..numbers.len()).step_by(run.len()) {
            let run = &mut run[..(numbers.len() - start).min(1024)];
            numbers.read(start, run);
            if let Some(value) = run.iter().find(|value| !value.is_finite()) {
                let file = self.files[entry.file].name();
                let message = format!("{file}: {name}: expected finite values, got {value}");
                return Err(Error::new(ErrorKind::Weights, message));
            }
        }
        let file = self.files[entry.file].clone();
        Ok(FileTensor::new(file, entry.dtype, entry.range.clone(), &entry.shape))
    }

    /// A tensor as f32, in PyTorch's order. Values that are not finite are passed on.
    ///
    /// # Errors
    /// As [`Weights::values`].
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>> {
        let values = self.values(name)?;
        let mut out = vec![0.0; values.len()];
        values.read(0, &mut out);
        self.intact(name)?;
        Ok(out)
    }

    /// The number that a tensor of one number holds: a float, or an integer.
    ///
    /// # Errors
    /// `Weights` if there is no such tensor, it has another number of elements, or its type cannot
    /// be read.
    pub fn scalar(&self, name: &str) -> Result<f64> {
        let entry = self.entry(name)?;
        let file = &self.files[entry.file];
        let mut eight = [0; 8];
        let range = entry.range.start..entry.range.end.min(entry.range.start + 9);
        let len = entry.range.len();
        if len <= 8 {
            file.with(range, &mut [0; 8], |bytes| eight[..len].copy_from_slice(bytes));
            file.intact()?;
        }
        let number = match (entry.dtype, &eight[..len.min(8)]) {
            _ if len > 8 => None,
            (DataType::I64, &[a, b, c, d, e, f, g, h]) => {
                Some(i64::from_le_bytes([a, b, c, d, e, f, g, h]) as f64)
            }
            (DataType::F64, &[a, b, c, d, e, f, g, h]) => {
                Some(f64::from_le_bytes([a, b, c, d, e, f, g, h]))
            }
            (DataType::I32, &[a, b, c, d]) => Some(i32::from_le_bytes([a, b, c, d]).into()),
            _ => match self.read_f32(name)?[..] {
                [number] => Some(number.into()),
                _ => None,
            },
        };
        number.ok_or_else(|| {
            let message =
                format!("{}: {name}: expected one number, got {:?}", file.name(), entry.shape);
            Error::new(ErrorKind::Weights, message)
        })
    }

    /// A tensor in a layout and format of GPU memory.
    ///
    /// # Errors
    /// As [`Weights::values`] and [`pack()`], naming file and tensor.
    pub fn pack(&self, name: &str, layout: WeightLayout, format: WeightFormat) -> Result<Vec<u8>> {
        let entry = self.entry(name)?;
        let path = format!("{}: {name}", self.files[entry.file].name());
        let packed = pack(&path, self.values(name)?, &entry.shape, layout, format);
        self.intact(name)?;
        packed
    }

    /// A part of [`Weights::pack`] into write-only memory, such as a GPU's: `put` is called with a
    /// tap, the position in the part's range of that tap and the bytes of a run, and gets every byte
    /// once. No copy of the tensor is made; patches are added a few thousand numbers at a time.
    ///
    /// # Errors
    /// As [`Weights::pack`], for the values of this part.
    pub fn pack_part(
        &self,
        name: &str,
        layout: WeightLayout,
        format: WeightFormat,
        part: &Part,
        put: impl FnMut(usize, usize, &[u8]),
    ) -> Result<()> {
        let entry = self.entry(name)?;
        let path = format!("{}: {name}", self.files[entry.file].name());
        let packed = pack_part(&path, self.values(name)?, &entry.shape, layout, format, part, put);
        self.intact(name)?;
        packed
    }

    /// # Errors
    /// `Io` if the file of a tensor, or one of its patches, changed while it was in use.
    fn intact(&self, name: &str) -> Result<()> {
        let entry = self.entry(name)?;
        self.files[entry.file].intact()?;
        entry.patches.iter().try_for_each(Patch::intact)
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

fn in_memory(name: &str, error: ::safetensors::SafeTensorError) -> Error {
    Error::new(ErrorKind::Weights, format!("{name}: cannot be kept in memory")).with_source(error)
}
