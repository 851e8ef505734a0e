//! The shapes that `kernels` measures: of the embedded model and a little larger, which software
//! drivers manage, and of Stable Diffusion 1.5 at 512×512.

use croquis::internal::kernels::activation::{Activation, Function};
use croquis::internal::kernels::attention::{Attention, Form};
use croquis::internal::kernels::binary::{Arithmetic, Binary};
use croquis::internal::kernels::blend::Blend;
use croquis::internal::kernels::compose::Compose;
use croquis::internal::kernels::concat::Concat;
use croquis::internal::kernels::conv2d::Conv2d;
use croquis::internal::kernels::depthwise::Depthwise;
use croquis::internal::kernels::epilogue::Epilogue;
use croquis::internal::kernels::gate::Gate;
use croquis::internal::kernels::group_norm::GroupNorm;
use croquis::internal::kernels::group_norm_merge::GroupNormMerge;
use croquis::internal::kernels::group_norm_stats::{GroupNormStats, tiles};
use croquis::internal::kernels::guidance_rescale::GuidanceRescale;
use croquis::internal::kernels::layer_norm::LayerNorm;
use croquis::internal::kernels::matmul::MatMul;
use croquis::internal::kernels::model_input::ModelInput;
use croquis::internal::kernels::pixel_shuffle::PixelShuffle;
use croquis::internal::kernels::pixel_unshuffle::PixelUnshuffle;
use croquis::internal::kernels::pixels::Pixels;
use croquis::internal::kernels::prelu::Prelu;
use croquis::internal::kernels::row::Row;
use croquis::internal::kernels::scale::Scale;
use croquis::internal::kernels::scaled_add::ScaledAdd;
use croquis::internal::kernels::scheduler_step::{PREDICTED, SLOTS, SchedulerStep, slot};
use croquis::internal::kernels::timestep_embedding::TimestepEmbedding;
use croquis::internal::kernels::upsample::Upsample;
use croquis::internal::kernels::{Case, Fill, Op};
use croquis::internal::shape::TensorType;

/// A kernel at a shape.
pub struct Shape {
    /// The shape in words.
    pub label: String,
    /// The operation and its operands.
    pub case: Case,
}

/// Every kernel at its shapes.
pub fn shapes(large: bool) -> Vec<Shape> {
    let mut shapes = vec![
        matmul(64, 192, 768, None),
        matmul(256, 320, 320, None),
        matmul(256, 320, 1280, Some(Function::Gelu)),
        conv2d(16, 96, 96, 1, false),
        conv2d(32, 96, 96, 2, false),
        conv2d(32, 48, 48, 1, true),
        conv2d(64, 16, 16, 1, false),
        depthwise(16, 320),
        attention(256, 256, 8, 40, false),
        attention(256, 77, 8, 40, false),
        attention(77, 77, 12, 64, true),
        layer_norm(256, 320),
        upsample(32, 64),
        small("concat", [1, 32, 32, 64], Concat, 2),
        small("gate", [1, 256, 2560], Gate { function: Function::Gelu }, 1),
        small("gelu", [1, 256, 1280], Activation { function: Function::Gelu }, 1),
        small("add", [1, 32, 32, 128], Binary { function: Arithmetic::Add }, 2),
        small("rgb", [1, 64, 64, 3], Pixels, 1),
        small("of 4", [1, 64, 64, 48], PixelShuffle { factor: 4 }, 1),
        small("of 2", [1, 64, 64, 3], PixelUnshuffle { factor: 2 }, 1),
        small("residual", [1, 64, 64, 64], ScaledAdd { scale: 0.2 }, 2),
        prelu(64, 64),
    ];
    shapes.extend(group_norm(32, 96));
    shapes.extend(sampling(8, 8));
    if large {
        shapes.extend([
            matmul(4096, 320, 320, None),
            matmul(4096, 320, 1280, Some(Function::Gelu)),
            matmul(4096, 1280, 320, None),
            matmul(1024, 640, 640, None),
            matmul(256, 1280, 1280, None),
            conv2d(64, 320, 320, 1, false),
            conv2d(64, 640, 320, 1, false),
            conv2d(64, 320, 320, 2, false),
            conv2d(32, 640, 640, 1, false),
            conv2d(16, 1280, 1280, 1, false),
            conv2d(8, 1280, 1280, 1, false),
            conv2d(32, 640, 640, 1, true),
            conv2d(512, 128, 128, 1, false),
            depthwise(64, 320),
            attention(4096, 4096, 8, 40, false),
            attention(4096, 77, 8, 40, false),
            attention(1024, 1024, 8, 80, false),
            attention(256, 256, 8, 160, false),
            attention(4096, 4096, 1, 512, false),
            layer_norm(4096, 320),
            upsample(32, 640),
            small("concat", [1, 64, 64, 320], Concat, 2),
            small("add", [1, 64, 64, 320], Binary { function: Arithmetic::Add }, 2),
            small("rgb", [1, 512, 512, 3], Pixels, 1),
            small("of 4", [1, 512, 512, 48], PixelShuffle { factor: 4 }, 1),
            small("of 2", [1, 512, 512, 3], PixelUnshuffle { factor: 2 }, 1),
            small("residual", [1, 512, 512, 64], ScaledAdd { scale: 0.2 }, 2),
            prelu(512, 64),
        ]);
        shapes.extend(group_norm(64, 320));
        shapes.extend(group_norm(512, 128));
        shapes.extend(sampling(64, 4));
    }
    for shader in Op::SHADERS {
        let measured = shapes.iter().any(|shape| shape.case.op.name() == shader.name);
        assert!(measured, "{} has no shape here", shader.name);
    }
    shapes.sort_by_key(|shape| shape.case.op.name());
    shapes
}

/// `[rows, inputs]` by `[inputs, outputs]` with a bias; gated, the weight has twice the columns.
fn matmul(rows: usize, inputs: usize, outputs: usize, gate: Option<Function>) -> Shape {
    let gated = gate.is_some();
    let columns = outputs * (1 + usize::from(gated));
    let case = Case::new(MatMul { epilogue: Epilogue { activation: gate, gated } })
        .operand(TensorType::real([1, rows, inputs]))
        .weight([columns, inputs])
        .weight([columns]);
    Shape { label: format!("{rows}x{inputs}x{columns}{}", if gated { " gated" } else { "" }), case }
}

/// A 3×3 convolution of a square picture with a bias.
fn conv2d(side: usize, inputs: usize, outputs: usize, stride: usize, upsample: bool) -> Shape {
    let upsample = upsample.then(Upsample::default);
    let conv = Conv2d { stride, padding: [1; 4], upsample, epilogue: Epilogue::default() };
    let case = Case::new(conv)
        .operand(TensorType::real([1, side, side, inputs]))
        .weight([outputs, inputs, 3, 3])
        .weight([outputs]);
    let more = match (stride, upsample) {
        (1, None) => String::new(),
        (1, Some(_)) => " upsampled".into(),
        (stride, _) => format!(" stride {stride}"),
    };
    Shape { label: format!("3x3 {side}x{side}x{inputs} -> {outputs}{more}"), case }
}

fn depthwise(side: usize, channels: usize) -> Shape {
    let case = Case::new(Depthwise { stride: 1, padding: [1; 4] })
        .operand(TensorType::real([1, side, side, channels]))
        .weight([channels, 1, 3, 3]);
    Shape { label: format!("3x3 {side}x{side}x{channels}"), case }
}

fn attention(queries: usize, keys: usize, heads: usize, size: usize, causal: bool) -> Shape {
    let keys_type = TensorType::real([1, keys, heads * size]);
    let case = Case::new(Attention { heads, causal, form: Form::Softmax })
        .operand(TensorType::real([1, queries, heads * size]))
        .operand(keys_type)
        .operand(keys_type);
    let mask = if causal { " causal" } else { "" };
    Shape { label: format!("{queries} to {keys}, {heads} heads of {size}{mask}"), case }
}

fn layer_norm(rows: usize, channels: usize) -> Shape {
    let case = Case::new(LayerNorm { epsilon: 1e-5 })
        .operand(TensorType::real([1, rows, channels]))
        .weight([channels])
        .weight([channels]);
    Shape { label: format!("{rows}x{channels}"), case }
}

/// The three kernels of a group normalisation with SiLU, 32 groups.
fn group_norm(side: usize, channels: usize) -> [Shape; 3] {
    let pixels = side * side;
    let x = TensorType::real([1, side, side, channels]);
    let merge = GroupNormMerge { groups: 32, epsilon: 1e-5, pixels };
    [
        Case::new(GroupNormStats).operand(x),
        Case::new(merge)
            .filled(TensorType::f32([1, tiles(pixels), 2, channels]), Fill::Range(0.0, 2.0))
            .weight([channels])
            .weight([channels]),
        Case::new(GroupNorm { silu: true }).operand(x).operand(TensorType::f32([1, 2, channels])),
    ]
    .map(|case| Shape { label: format!("{side}x{side}x{channels}"), case })
}

fn upsample(side: usize, channels: usize) -> Shape {
    let case = Case::new(Upsample::default()).operand(TensorType::real([1, side, side, channels]));
    Shape { label: format!("{side}x{side}x{channels}"), case }
}

fn prelu(side: usize, channels: usize) -> Shape {
    let x = TensorType::real([1, side, side, channels]);
    let case = Case::new(Prelu).operand(x).weight([channels]);
    Shape { label: format!("{side}x{side}x{channels}"), case }
}

/// An operation on one or two tensors of a shape.
fn small<const R: usize>(
    word: &str,
    dims: [usize; R],
    op: impl Into<Op>,
    operands: usize,
) -> Shape {
    let case = (0..operands).fold(Case::new(op), |case, _| case.operand(TensorType::real(dims)));
    let dims = dims[1..].iter().map(usize::to_string).collect::<Vec<_>>();
    Shape { label: format!("{word} {}", dims.join("x")), case }
}

/// The kernels around the network in a guided step on square latents.
fn sampling(side: usize, channels: usize) -> [Shape; 8] {
    let latents = |count: usize| [count, side, side, channels];
    let step = TensorType::f32([slot::LEN]);
    let embedding = TimestepEmbedding { dim: 320, flip_sin_to_cos: true, frequency_shift: 0.0 };
    let of_latents = format!("{side}x{side}x{channels}");
    let shape = |label: &str, case| Shape { label: label.into(), case };
    [
        shape(
            &of_latents,
            Case::new(ModelInput { copies: 2, scale: 1.0 })
                .operand(TensorType::f32(latents(1)))
                .operand(step),
        ),
        shape(
            &of_latents,
            Case::new(SchedulerStep { copies: 2 })
                .operand(TensorType::f32(latents(1)))
                .operand(TensorType::f32(latents(SLOTS)))
                .operand(TensorType::real(latents(2)))
                .operand(TensorType::f32(latents(1)))
                .filled(step, Fill::Index(4))
                .absent(),
        ),
        shape(
            &of_latents,
            Case::new(GuidanceRescale)
                .operand(TensorType::real(latents(2)))
                .filled(step, Fill::Range(0.5, 7.5)),
        ),
        shape(
            &of_latents,
            Case::new(Compose { prompts: 3 })
                .operand(TensorType::real(latents(4)))
                .operand(TensorType::f32([3])),
        ),
        shape(
            &of_latents,
            Case::new(Blend)
                .operand(TensorType::f32(latents(PREDICTED + 1)))
                .operand(TensorType::f32(latents(1)))
                .operand(TensorType::f32(latents(1)))
                .filled(TensorType::f32([1, side, side, 1]), Fill::Index(2))
                .filled(step, Fill::Range(0.05, 1.0)),
        ),
        shape(
            &format!("{side}x{side}x320"),
            Case::new(Scale { index: slot::CONTROL })
                .operand(TensorType::real([1, side, side, 320]))
                .filled(step, Fill::Range(0.0, 2.0)),
        ),
        shape(
            "20 steps, 320",
            Case::new(embedding).filled(TensorType::f32([20]), Fill::Index(1000)),
        ),
        shape(
            "of 20x320",
            Case::new(Row).operand(TensorType::real([20, 320])).filled(step, Fill::Index(20)),
        ),
    ]
}
