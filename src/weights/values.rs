//! The numbers of a tensor as f32, with the patches that were set for it.

use super::dtype::DataType;
use super::numbers::Numbers;
use super::patch::{Fitted, Patch};

/// The numbers of a tensor, read a run at a time. Views and patches are applied as the numbers are
/// read.
#[derive(Clone)]
pub struct Values<'a> {
    numbers: Numbers<'a>,
    patches: Vec<Fitted<'a>>,
}

impl<'a> From<&'a [f32]> for Values<'a> {
    fn from(values: &'a [f32]) -> Self {
        Values { numbers: Numbers::of_f32(values), patches: Vec::new() }
    }
}

impl<'a> Values<'a> {
    /// The numbers in `bytes`; `None` if that type cannot be read. Bytes left over after the last
    /// whole block are ignored.
    pub fn new(dtype: DataType, bytes: &'a [u8]) -> Option<Self> {
        let numbers = Numbers::new(dtype, bytes, None)?;
        Some(Values { numbers, patches: Vec::new() })
    }

    /// Numbers with patches of the same shape applied one after another. A patch that depends on
    /// norms of the weight reads all numbers here.
    pub(super) fn patched(numbers: Numbers<'a>, shape: &[usize], patches: &'a [Patch]) -> Self {
        let mut values = Values { numbers, patches: Vec::with_capacity(patches.len()) };
        for patch in patches {
            let fitted = Fitted::new(patch, shape, |start, out| values.read(start, out));
            values.patches.push(fitted);
        }
        values
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Converts the numbers from `start` on into `out`, until one of the two ends. Exact for
    /// floats; quantised numbers are what ggml computes in f32; patches are applied in f32.
    pub fn read(&self, start: usize, out: &mut [f32]) {
        let len = out.len().min(self.len().saturating_sub(start));
        if len == 0 {
            return;
        }
        let out = &mut out[..len];
        self.numbers.read(start, out);
        for patch in &self.patches {
            patch.apply(start, out);
        }
    }
}
