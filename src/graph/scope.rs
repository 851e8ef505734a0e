//! Layers of models: weights are found by their safetensors names, sizes come from their shapes.

use super::builder::MISFIT;
use super::{Builder, Tensor};
use crate::error::{Error, ErrorKind};
use crate::kernels::conv2d::Conv2d;
use crate::kernels::depthwise::Depthwise;
use crate::kernels::epilogue::Epilogue;
use crate::kernels::group_norm::GroupNorm;
use crate::kernels::group_norm_merge::GroupNormMerge;
use crate::kernels::group_norm_stats::GroupNormStats;
use crate::kernels::layer_norm::LayerNorm;
use crate::kernels::matmul::MatMul;
use crate::kernels::prelu::Prelu;
use crate::shape::{MAX_RANK, Shape, TensorType};
use crate::weights::Weights;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The names and shapes of a component's weights; their values are not needed to build a graph.
pub trait WeightIndex {
    /// The shape in the file, or `None` if there is no such weight.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;
    /// Every weight's name.
    fn names(&self) -> Vec<String>;
}

/// A layer in the tree of a component's weights: `down_blocks.0.resnets.1`.
#[derive(Clone)]
pub struct Scope<'g> {
    builder: &'g Builder,
    weights: &'g dyn WeightIndex,
    names: Rc<BTreeSet<String>>,
    /// The component's name in messages: `unet`.
    component: &'g str,
    prefix: String,
}

impl<'g> Scope<'g> {
    /// The root of a component's weights. [`Builder::finish`] fails if one of them is not used.
    pub fn new(builder: &'g Builder, component: &'g str, weights: &'g dyn WeightIndex) -> Self {
        let names = Rc::new(weights.names().into_iter().collect::<BTreeSet<_>>());
        builder.expect_weights(component, names.iter().cloned());
        Scope { builder, weights, names, component, prefix: String::new() }
    }

    /// The graph under construction.
    pub fn builder(&self) -> &'g Builder {
        self.builder
    }

    /// The part of the tree below `name`, which may be a path with dots.
    pub fn at(&self, name: impl std::fmt::Display) -> Scope<'g> {
        Scope { prefix: self.name(name), ..self.clone() }
    }

    /// The numbered parts below `name` that have weights: `name.0`, `name.1`, ….
    pub fn each(&self, name: &str) -> Vec<Scope<'g>> {
        (0..)
            .map(|index| format!("{name}.{index}"))
            .take_while(|name| self.has(name))
            .map(|name| self.at(name))
            .collect()
    }

    /// Whether there is a weight of this name or below it.
    pub fn has(&self, name: &str) -> bool {
        let name = self.name(name);
        let below = format!("{name}.");
        let next = self.names.range(below.clone()..).next();
        self.names.contains(&name) || next.is_some_and(|next| next.starts_with(&below))
    }

    /// Excludes weights below `name` from the check that each is used, such as the encoder's in a
    /// decoder.
    pub fn ignore(&self, name: &str) {
        self.builder.ignore_weights(&self.name(name));
    }

    /// The path in messages: the component and the layer.
    pub fn path(&self) -> String {
        join(self.component, &self.prefix)
    }

    /// The shape of a weight in the file.
    pub fn weight_shape(&self, name: &str) -> Option<Vec<usize>> {
        self.weights.shape(&self.name(name))
    }

    /// Linear layer or 1×1 convolution: x `[…, I]` · weightᵀ (`[O, I]` or `[O, I, 1, 1]`) + bias, if there is one.
    pub fn linear(&self, name: &str, x: Tensor<'g>) -> Tensor<'g> {
        let scope = self.enter(name);
        let weight = scope.weight("weight", &[None, Some(x.channels())]);
        let bias = scope.bias();
        let matmul = MatMul { epilogue: Epilogue::default() };
        self.builder.apply(matmul, &[Some(x), Some(weight), bias])
    }

    /// Convolution `[O, I, KH, KW]` of stride 1 with "same" zero padding; 1×1 is [`linear`](Scope::linear).
    pub fn conv(&self, name: &str, x: Tensor<'g>) -> Tensor<'g> {
        match self.at(name).weight_shape("weight").as_deref() {
            Some([_, _, 1, 1]) => self.linear(name, x),
            Some([_, _, height, width]) => {
                let (vertical, horizontal) = (height / 2, width / 2);
                self.conv_with(name, x, 1, [vertical, vertical, horizontal, horizontal])
            }
            _ => self.conv_with(name, x, 1, [1; 4]),
        }
    }

    /// Convolution with a stride and zeros at the top, bottom, left and right.
    pub fn conv_with(
        &self,
        name: &str,
        x: Tensor<'g>,
        stride: usize,
        padding: [usize; 4],
    ) -> Tensor<'g> {
        let scope = self.enter(name);
        let weight = scope.weight("weight", &[None, Some(x.channels())]);
        let bias = scope.bias();
        let conv = Conv2d { stride, padding, upsample: None, epilogue: Epilogue::default() };
        self.builder.apply(conv, &[Some(x), Some(weight), bias])
    }

    /// Depthwise 3×3 convolution `[C, 1, 3, 3]` with padding 1.
    pub fn depthwise(&self, name: &str, x: Tensor<'g>, stride: usize) -> Tensor<'g> {
        let scope = self.enter(name);
        let weight = scope.weight("weight", &[Some(x.channels())]);
        let bias = scope.bias();
        self.builder.apply(Depthwise { stride, padding: [1; 4] }, &[Some(x), Some(weight), bias])
    }

    /// The parametric ReLU, whose slope `[C]` is a weight.
    pub fn prelu(&self, name: &str, x: Tensor<'g>) -> Tensor<'g> {
        let slope = self.enter(name).weight("weight", &[Some(x.channels())]);
        self.builder.apply(Prelu {}, &[Some(x), Some(slope)])
    }

    /// Group normalisation over `groups` groups of channels.
    pub fn group_norm(&self, name: &str, x: Tensor<'g>, groups: usize, epsilon: f64) -> Tensor<'g> {
        let scope = self.enter(name);
        let gamma = scope.weight("weight", &[Some(x.channels())]);
        let beta = scope.weight("bias", &[Some(x.channels())]);
        let shape = x.shape();
        let pixels = shape.rows() / shape.batch();
        let merge = GroupNormMerge { groups, epsilon: epsilon as f32, pixels };
        let stats = self.builder.apply(GroupNormStats {}, &[Some(x)]);
        let scale_shift = self.builder.apply(merge, &[Some(stats), Some(gamma), Some(beta)]);
        self.builder.apply(GroupNorm { silu: false }, &[Some(x), Some(scale_shift)])
    }

    /// Layer normalisation over the channels.
    pub fn layer_norm(&self, name: &str, x: Tensor<'g>, epsilon: f64) -> Tensor<'g> {
        let scope = self.enter(name);
        let gamma = scope.weight("weight", &[Some(x.channels())]);
        let beta = scope.weight("bias", &[Some(x.channels())]);
        let norm = LayerNorm { epsilon: epsilon as f32 };
        self.builder.apply(norm, &[Some(x), Some(gamma), Some(beta)])
    }

    /// Sets this layer as the path of the operations that follow, in listings and messages.
    pub fn mark(&self) {
        self.builder.set_path(&self.path());
    }

    /// Records an error with the path of this layer.
    pub fn fail(&self, kind: ErrorKind, message: impl Into<String>) {
        self.mark();
        self.builder.fail(Error::new(kind, message));
    }

    fn enter(&self, name: &str) -> Scope<'g> {
        let scope = self.at(name);
        scope.mark();
        scope
    }

    /// The bias of a layer, if there is one; its length is the number of output channels.
    fn bias(&self) -> Option<Tensor<'g>> {
        self.weight_shape("bias")?;
        let outputs = self.weight_shape("weight").and_then(|shape| shape.first().copied());
        Some(self.weight("bias", &[outputs]))
    }

    /// A weight in the file's shape, whose first dimensions must be the expected ones; `None` stands for
    /// any size.
    fn weight(&self, name: &str, expected: &[Option<usize>]) -> Tensor<'g> {
        let fail = |message: String| {
            self.builder.fail(Error::new(ErrorKind::Weights, message).with_hint(MISFIT));
            self.builder.placeholder()
        };
        let Some(file_shape) = self.weight_shape(name) else {
            return fail(format!("the weight {} is missing", self.name(name)));
        };
        let fits = |(size, expected): (&usize, &Option<usize>)| expected.is_none_or(|e| e == *size);
        if !file_shape.iter().zip(expected).all(fits) {
            let mut sizes: Vec<_> = expected
                .iter()
                .map(|size| size.map_or_else(|| "_".into(), |size| size.to_string()))
                .collect();
            sizes.resize(file_shape.len(), "_".into());
            let expected = sizes.join(", ");
            return fail(format!("{name}: expected shape [{expected}], got {file_shape:?}"));
        }
        if !(1..=MAX_RANK).contains(&file_shape.len()) || file_shape.contains(&0) {
            return fail(format!(
                "{name}: expected 1 to {MAX_RANK} dimensions of at least 1, got {file_shape:?}"
            ));
        }
        self.builder.weight(&self.name(name), TensorType::real(Shape::new(&file_shape)))
    }

    fn name(&self, name: impl std::fmt::Display) -> String {
        join(&self.prefix, &name.to_string())
    }
}

fn join(prefix: &str, name: &str) -> String {
    match (prefix, name) {
        ("", name) => name.into(),
        (prefix, "") => prefix.into(),
        (prefix, name) => format!("{prefix}.{name}"),
    }
}

/// Names and shapes without values: enough to plan a model whose weights are not at hand.
impl WeightIndex for BTreeMap<String, Vec<usize>> {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.get(name).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

impl WeightIndex for Weights {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        Weights::shape(self, name).map(<[usize]>::to_vec)
    }

    fn names(&self) -> Vec<String> {
        Weights::names(self).map(String::from).collect()
    }
}
