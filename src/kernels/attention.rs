//! Multi-head attention in one kernel that keeps no score in memory (FlashAttention, arXiv
//! 2205.14135); for every head:
//!
//! s = q·kᵀ / √d,  out = softmax(s)·v  or  out = relu(s)/Tk · v (arXiv 2309.08586)
//!
//! The softmax is online (arXiv 1805.02867): a running maximum and sum, to base 2, over tiles of
//! keys.
//!
//! A variant is a tile: `staged-RxL` reads keys and values through workgroup memory, `direct-RxL`
//! from memory; a workgroup has R queries with L threads each.

use super::attention_tile::AttentionTile;
use super::shader::{params, shader};
use super::{
    Case, Fill, HostTensor, Kernel, Launch, Lcg, Mismatch, Operands, Shader, Target, given,
    optional_shape, required,
};
use crate::shape::{Shape, TensorType};

/// The function from scores to weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// softmax(s) over the keys.
    Softmax,
    /// max(s, 0) / Tk.
    Relu,
}

/// Operands: q `[B, Tq, h·d]`, k `[B or 1, Tk, h·d]`, v shaped as k; q may be `[B, H, W, h·d]`.
/// k and v may be the same tensor. Result: shaped as q.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// h: the number of heads.
    pub heads: usize,
    /// Whether query i sees only the keys 0..=i.
    pub causal: bool,
    /// The function from scores to weights.
    pub form: Form,
}

params! {
    struct Params {
        queries: u32,
        keys: u32,
        row_quads: u32,
        key_batch_quads: u32,
        scale: f32,
    }
}

pub(super) static SHADER: Shader = shader!("attention", Params, ["q", "k", "v"]);

/// The largest head size: beyond it a tile of keys would not fit in workgroup memory.
pub(super) const MAX_HEAD_SIZE: usize = 512;

/// The number of tokens of a batch item.
fn tokens(shape: Shape) -> usize {
    shape.rows() / shape.batch()
}

impl Kernel for Attention {
    fn shader(&self) -> &'static Shader {
        &SHADER
    }

    fn infer(&self, operands: Operands) -> Result<TensorType, Mismatch> {
        let q = required(operands, 0, "q")?.shape;
        let k = required(operands, 1, "k")?.shape;
        required(operands, 2, "v")?;
        if !matches!(q.rank(), 3 | 4) || q.is_empty() {
            return Err(Mismatch::new("q", "[B, T, D] or [N, H, W, C]", q));
        }
        if self.heads == 0 || !q.channels().is_multiple_of(self.heads) {
            let expected = format!("a multiple of {} heads", self.heads);
            return Err(Mismatch::new("channels", expected, q.channels()));
        }
        let size = q.channels() / self.heads;
        if !size.is_multiple_of(4) || size > MAX_HEAD_SIZE {
            let expected = format!("a multiple of 4 up to {MAX_HEAD_SIZE}");
            return Err(Mismatch::new("head size", expected, size));
        }
        let batch = if k.batch() == 1 { 1 } else { q.batch() };
        if !matches!(k.rank(), 3 | 4)
            || k.is_empty()
            || k.batch() != batch
            || k.channels() != q.channels()
        {
            return Err(Mismatch::new("k", format!("[{batch}, _, {}]", q.channels()), k));
        }
        optional_shape(operands, 2, "v", TensorType::real(k))?;
        if self.causal && tokens(q) != tokens(k) {
            let expected = format!("{} tokens of a causal mask", tokens(q));
            return Err(Mismatch::new("k", expected, tokens(k)));
        }
        Ok(TensorType::real(q))
    }

    fn variants(&self, operands: Operands, output: TensorType, target: &Target) -> Vec<Launch> {
        let [_, k] = given(operands);
        let q = output.shape;
        let (queries, keys) = (tokens(q), tokens(k.shape));
        let head_size = q.channels() / self.heads;
        let log2_e = match self.form {
            Form::Softmax => std::f64::consts::LOG2_E,
            Form::Relu => 1.0,
        };
        let key_batch_quads = if k.shape.batch() == 1 { 0 } else { keys * q.quads() };
        let params = Params {
            queries: queries as u32,
            keys: keys as u32,
            row_quads: q.quads() as u32,
            key_batch_quads: key_batch_quads as u32,
            scale: (log2_e / (head_size as f64).sqrt()) as f32,
        };
        let launch = |tile: AttentionTile| {
            let blocks = queries.div_ceil(tile.rows() as usize) as u32;
            let groups = [blocks, self.heads as u32, q.batch() as u32];
            Launch::new(tile.name(), &params, groups)
                .constant("HEAD_QUADS", head_size as u32 / 4)
                .constant("GROUP", tile.group)
                .constant("ROWS", tile.rows())
                .constant("LANES", tile.lanes)
                .constant("SLICE", tile.slice)
                .constant("KEYS", tile.keys)
                .constant("STAGED", tile.staged)
                .constant("STAGED_QUADS", tile.staged_quads())
                .constant("SHARED_QUADS", tile.shared_quads())
                .constant("CAUSAL", self.causal)
                .constant("SOFTMAX", self.form == Form::Softmax)
                .flops(4 * (q.len() * keys) as u64)
        };
        AttentionTile::variants(head_size as u32 / 4, target).into_iter().map(launch).collect()
    }

    fn reference(&self, operands: &[Option<&HostTensor>]) -> HostTensor {
        let [q, k, v] = given(operands);
        let (queries, keys) = (tokens(q.shape), tokens(k.shape));
        let size = q.shape.channels() / self.heads;
        let mut out = HostTensor::zeros(q.shape);
        for row in 0..q.shape.rows() {
            let first_key = if k.shape.batch() == 1 { 0 } else { row / queries * keys };
            let visible = if self.causal { row % queries + 1 } else { keys };
            for head in (0..q.shape.channels()).step_by(size) {
                let score = |key: usize| {
                    let pairs = q.row(row)[head..].iter().zip(&k.row(first_key + key)[head..]);
                    pairs.take(size).map(|(a, b)| a * b).sum::<f64>() / (size as f64).sqrt()
                };
                let mut weights: Vec<f64> = (0..visible).map(score).collect();
                match self.form {
                    Form::Softmax => {
                        let maximum = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                        weights.iter_mut().for_each(|w| *w = (*w - maximum).exp());
                        let total: f64 = weights.iter().sum();
                        weights.iter_mut().for_each(|w| *w /= total);
                    }
                    Form::Relu => weights.iter_mut().for_each(|w| *w = w.max(0.0) / keys as f64),
                }
                for (key, weight) in weights.iter().enumerate() {
                    let values = &v.row(first_key + key)[head..];
                    for (sum, value) in out.row_mut(row)[head..].iter_mut().zip(values).take(size) {
                        *sum += weight * value;
                    }
                }
            }
        }
        out
    }
}

pub(super) fn cases() -> Vec<Case> {
    use Form::{Relu, Softmax};
    // Scores of a bound of 1 are near 0; those of 8 reach tens, so that the softmax is peaked and
    // its running maximum moves.
    // (B, batch of k, Tq, Tk, heads, head size, causal, form, bound of q and k)
    #[rustfmt::skip]
    let table = [
        (1, 1,   1,   1, 1,   4, false, Softmax, 1.0),
        (2, 2,  13,   4, 3,   4, false, Softmax, 8.0),
        (2, 1,   4,  13, 2,   8, false, Softmax, 8.0),
        (3, 3,  77,  77, 2,  64, true,  Softmax, 4.0),
        (2, 1,  70,  77, 2,  40, false, Softmax, 1.0),
        (1, 1, 130,  67, 3,  40, false, Softmax, 8.0),
        (2, 2,  33,  32, 1,  80, false, Softmax, 4.0),
        (1, 1,  19,  19, 2,  84, true,  Relu,    1.0),
        (2, 1,  21,  35, 2, 160, false, Softmax, 4.0),
        (1, 1,  18,  37, 1, 512, false, Softmax, 2.0),
        (1, 1,  20,  20, 1, 172, true,  Softmax, 2.0),
        (2, 2,  64,  64, 4,  32, false, Relu,    1.0),
        (3, 1,   5,   7, 2,  36, false, Relu,    4.0),
    ];
    let mut random = Lcg::new(4);
    let drawn = (0..3).map(|_| {
        let [batch, queries, keys, heads, quads] = random.sizes([3, 90, 90, 3, 8]);
        let (causal, form) = (random.flip(), random.pick(&[Softmax, Relu]));
        let keys = if causal { queries } else { keys };
        (batch, random.pick(&[1, batch]), queries, keys, heads, 4 * quads, causal, form, 2.0)
    });
    let mut cases = Vec::new();
    let all = table.into_iter().chain(drawn);
    for (batch, key_batch, queries, keys, heads, size, causal, form, bound) in all {
        let keys = TensorType::real([key_batch, keys, heads * size]);
        cases.push(
            Case::new(Attention { heads, causal, form })
                .filled(TensorType::real([batch, queries, heads * size]), Fill::Uniform(bound))
                .filled(keys, Fill::Uniform(bound))
                .operand(keys),
        );
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_head_sizes_are_refused() {
        for (heads, channels) in [(2, 12), (1, 516), (3, 16), (0, 16)] {
            let attention = Attention { heads, causal: false, form: Form::Softmax };
            let operand = Some(TensorType::real([1, 2, channels]));
            let mismatch = attention.infer(&[operand; 3]);
            assert!(mismatch.is_err_and(|m| m.0.contains("expected")), "{heads} {channels}");
        }
    }
}
