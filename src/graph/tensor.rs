//! The tensor handle with which models write formulas.

use super::builder::MISFIT;
use super::{Builder, NodeId, NodeSource, Scope};
use crate::error::{Error, ErrorKind};
use crate::kernels::activation::{Activation, Function};
use crate::kernels::attention::{Attention, Form};
use crate::kernels::binary::{Arithmetic, Binary};
use crate::kernels::concat::Concat;
use crate::kernels::gate::Gate;
use crate::kernels::row::Row;
use crate::kernels::scaled_add::ScaledAdd;
use crate::kernels::upsample::Upsample;
use crate::shape::{Shape, TensorType};
use std::ops::{Add, Mul};

/// A tensor of a graph under construction: a copyable handle.
#[derive(Clone, Copy)]
pub struct Tensor<'g> {
    pub(super) builder: &'g Builder,
    pub(super) id: NodeId,
}

/// The attributes of an attention layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionShape {
    /// The number of heads.
    pub heads: usize,
    /// Whether a query attends only to keys at its own position and before.
    pub causal: bool,
    /// Softmax or ReLU.
    pub form: Form,
}

impl<'g> Tensor<'g> {
    /// Its dimensions.
    pub fn shape(self) -> Shape {
        self.builder.tensor(self.id).shape
    }

    /// The innermost dimension.
    pub fn channels(self) -> usize {
        self.shape().channels()
    }

    /// x·σ(x).
    pub fn silu(self) -> Tensor<'g> {
        self.activation(Function::Silu)
    }

    /// An activation function.
    pub fn activation(self, function: Function) -> Tensor<'g> {
        self.builder.apply(Activation { function }, &[Some(self)])
    }

    /// The first half of the channels times the activation of the second.
    pub fn gate(self, function: Function) -> Tensor<'g> {
        self.builder.apply(Gate { function }, &[Some(self)])
    }

    /// The concatenation along the channels.
    pub fn concat(self, other: Tensor<'g>) -> Tensor<'g> {
        self.builder.apply(Concat {}, &[Some(self), Some(other)])
    }

    /// Upsampling of height and width by 2 with nearest neighbour, or to one less where `like` has
    /// that size.
    pub fn upsample(self, like: Option<Tensor<'g>>) -> Tensor<'g> {
        let (from, to) = (self.shape(), like.map(Tensor::shape));
        let odd = |axis: usize| {
            to.is_some_and(|to| to.rank() == 4 && to.dims()[axis] + 1 == 2 * from.dims()[axis])
        };
        let trim = if from.rank() == 4 { [odd(1), odd(2)] } else { [false; 2] };
        self.builder.apply(Upsample { trim }, &[Some(self)])
    }

    /// This tensor plus a constant times another one of its shape.
    pub fn plus_scaled(self, scale: f32, other: Tensor<'g>) -> Tensor<'g> {
        self.builder.apply(ScaledAdd { scale }, &[Some(self), Some(other)])
    }

    /// Attention of these queries to keys and values.
    pub fn attend(self, keys: Tensor<'g>, values: Tensor<'g>, shape: AttentionShape) -> Tensor<'g> {
        let AttentionShape { heads, causal, form } = shape;
        self.builder
            .apply(Attention { heads, causal, form }, &[Some(self), Some(keys), Some(values)])
    }

    /// The row of a table that the sampling step selects.
    pub fn row(self, step: Tensor<'g>) -> Tensor<'g> {
        self.builder.apply(Row {}, &[Some(self), Some(step)])
    }

    /// The same elements under another shape, which has the same numbers of rows and channels, or the
    /// same number of elements if rows have no padding.
    pub fn view(self, shape: impl Into<Shape>) -> Tensor<'g> {
        let (from, to) = (self.builder.tensor(self.id), shape.into());
        let same_rows = (from.shape.rows(), from.shape.channels()) == (to.rows(), to.channels());
        let whole_quads = from.shape.len() == to.len()
            && [from.shape, to].iter().all(|shape| shape.channels().is_multiple_of(4));
        if !same_rows && !whole_quads {
            let message =
                format!("view: expected as many rows and channels as {}, got {to}", from.shape);
            self.builder.fail(Error::new(ErrorKind::Shape, message).with_hint(MISFIT));
            return self.builder.placeholder();
        }
        self.builder.push(NodeSource::View(self.id), TensorType { shape: to, dtype: from.dtype })
    }

    /// `[N, H, W, C]` as `[N, H·W, C]`.
    pub fn tokens(self) -> Tensor<'g> {
        let shape = self.shape();
        self.view([shape.batch(), shape.rows() / shape.batch(), shape.channels()])
    }

    /// Records this tensor as the result of a layer, for [`Builder::finish_with_taps`].
    pub fn tap(self, layer: &Scope<'g>) -> Tensor<'g> {
        self.builder.tap(layer.path(), self.id);
        self
    }

    fn binary(self, function: Arithmetic, other: Tensor<'g>) -> Tensor<'g> {
        self.builder.apply(Binary { function }, &[Some(self), Some(other)])
    }
}

impl<'g> Add for Tensor<'g> {
    type Output = Tensor<'g>;

    /// The sum; the right side may be one row per batch item, or one row.
    fn add(self, other: Tensor<'g>) -> Tensor<'g> {
        self.binary(Arithmetic::Add, other)
    }
}

impl<'g> Mul for Tensor<'g> {
    type Output = Tensor<'g>;

    /// The elementwise product; the right side may be one row per batch item, or one row.
    fn mul(self, other: Tensor<'g>) -> Tensor<'g> {
        self.binary(Arithmetic::Mul, other)
    }
}
