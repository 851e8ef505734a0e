//! Test cases of kernels: an operation with the types of its operands and the distributions of their
//! values.

use super::{HostTensor, Op};
use crate::error::Result;
use crate::shape::{Shape, TensorType};
use crate::weights::Weights;

/// The distribution of an operand's elements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fill {
    /// Uniform in `[-bound, bound]`.
    Uniform(f64),
    /// Uniform in `[low, high]`.
    Range(f64, f64),
    /// Whole numbers from 0 up to, and not including, the bound.
    Index(u32),
}

/// An operand of a [`Case`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CaseOperand {
    /// The type; of a weight, the shape of the file.
    pub tensor: TensorType,
    /// The distribution of the elements.
    pub fill: Fill,
    /// Whether it is a weight, which is converted to the layout and format that a launch reads.
    pub weight: bool,
}

/// One operation on operands of given types; the values are drawn from a seed.
#[derive(Clone, Debug)]
pub struct Case {
    /// The operation.
    pub op: Op,
    /// The operands; `None` for an optional operand that is absent.
    pub operands: Vec<Option<CaseOperand>>,
}

impl Case {
    /// A case without operands yet.
    pub fn new(op: impl Into<Op>) -> Self {
        Case { op: op.into(), operands: Vec::new() }
    }

    /// Adds an operand, uniform in [-1, 1].
    pub fn operand(self, operand: TensorType) -> Self {
        self.filled(operand, Fill::Uniform(1.0))
    }

    /// Adds an operand with elements of a given distribution.
    pub fn filled(mut self, tensor: TensorType, fill: Fill) -> Self {
        self.operands.push(Some(CaseOperand { tensor, fill, weight: false }));
        self
    }

    /// Adds a weight in PyTorch's shape, uniform in [-1, 1].
    pub fn weight(mut self, shape: impl Into<Shape>) -> Self {
        let tensor = TensorType::real(shape);
        self.operands.push(Some(CaseOperand { tensor, fill: Fill::Uniform(1.0), weight: true }));
        self
    }

    /// Adds a weight if the condition holds, else leaves the operand out.
    pub fn weight_if(self, condition: bool, shape: impl Into<Shape>) -> Self {
        if condition { self.weight(shape) } else { self.absent() }
    }

    /// Leaves the next operand out.
    pub fn absent(mut self) -> Self {
        self.operands.push(None);
        self
    }

    /// Adds an operand if the condition holds, else leaves it out.
    pub fn operand_if(self, condition: bool, operand: TensorType) -> Self {
        if condition { self.operand(operand) } else { self.absent() }
    }

    /// The operands' types.
    pub fn types(&self) -> Vec<Option<TensorType>> {
        self.operands.iter().map(|operand| operand.map(|operand| operand.tensor)).collect()
    }

    /// The operands' values for a seed. They are exact in every storage type and weight format, so
    /// that a comparison sees the kernel's error and not the rounding of its input.
    pub fn values(&self, seed: u64) -> Vec<Option<HostTensor>> {
        let mut random = Lcg::new(seed);
        self.operands
            .iter()
            .map(|operand| {
                operand.map(|CaseOperand { tensor, fill, .. }| {
                    let data = (0..tensor.shape.len()).map(|_| random.draw(fill)).collect();
                    HostTensor { shape: tensor.shape, data }
                })
            })
            .collect()
    }

    /// Passes the values that are not weights to `write`, as f32 under the positions of their operands.
    ///
    /// # Errors
    /// The first error of `write`.
    pub fn write_inputs(
        &self,
        values: &[Option<HostTensor>],
        mut write: impl FnMut(&str, &[f32]) -> Result<()>,
    ) -> Result<()> {
        for (position, (operand, value)) in self.operands.iter().zip(values).enumerate() {
            let (Some(operand), Some(value)) = (operand, value) else { continue };
            if !operand.weight {
                let numbers: Vec<_> = value.data.iter().map(|v| *v as f32).collect();
                write(&position.to_string(), &numbers)?;
            }
        }
        Ok(())
    }

    /// Those of the values that are weights, under the positions of their operands as names.
    ///
    /// # Errors
    /// `Weights` if a value has another shape than its operand.
    pub fn weights(&self, values: &[Option<HostTensor>]) -> Result<Weights> {
        let operands = self.operands.iter().zip(values).enumerate();
        let tensors = operands.filter_map(|(position, (operand, value))| {
            operand.as_ref().filter(|operand| operand.weight)?;
            let value = value.as_ref()?;
            let numbers = value.data.iter().map(|v| *v as f32).collect();
            Some((position.to_string(), (value.shape.dims().to_vec(), numbers)))
        });
        Weights::from_f32(&tensors.collect())
    }
}

/// A small linear congruential generator (Knuth's MMIX constants): test data only.
#[derive(Clone, Debug)]
pub struct Lcg(u64);

impl Lcg {
    /// A generator from a seed.
    pub fn new(seed: u64) -> Self {
        let mut lcg = Lcg(seed ^ 0x9e37_79b9_7f4a_7c15);
        lcg.uniform();
        lcg
    }

    /// A number in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1u64 << 24) as f64
    }

    /// A whole number from `low` up to and including `high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + (self.uniform() * (high - low + 1) as f64) as usize
    }

    /// Sizes from 1 up to and including the given ones.
    pub fn sizes<const N: usize>(&mut self, most: [usize; N]) -> [usize; N] {
        most.map(|most| self.between(1, most))
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.between(0, from.len() - 1)]
    }

    /// True or false.
    pub fn flip(&mut self) -> bool {
        self.pick(&[false, true])
    }

    /// A number of the given kind, rounded to a 16-bit float.
    pub fn draw(&mut self, fill: Fill) -> f64 {
        let uniform = self.uniform();
        match fill {
            Fill::Uniform(bound) => half(bound * (2.0 * uniform - 1.0)),
            Fill::Range(low, high) => half(low + (high - low) * uniform),
            Fill::Index(bound) => (uniform * f64::from(bound)).floor(),
        }
    }
}

fn half(value: f64) -> f64 {
    half::f16::from_f64(value).to_f64()
}
