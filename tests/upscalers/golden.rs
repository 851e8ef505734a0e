//! The golden cases: networks whose weights are drawn here as the script draws them, and results.

use croquis::Upscaler;
use croquis::gpu::Gpu;
use croquis::internal::random::Generator;
use croquis::picture::Picture;
use half::f16;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A network of the script.
#[derive(Deserialize)]
pub struct Case {
    pub network_scale: usize,
    weights: Vec<(String, Vec<usize>, u64, f32, f32)>,
    others: Vec<Vec<String>>,
}

/// A tensor of a file: name, shape, values.
pub type Tensor = (String, Vec<usize>, Vec<f16>);

fn bytes(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/golden/upscalers/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All cases by name.
pub fn cases() -> BTreeMap<String, Case> {
    serde_json::from_slice(&bytes("golden.json")).unwrap()
}

/// Gives the golden tensors to a function.
pub fn with_golden<T>(read: impl FnOnce(&SafeTensors<'_>) -> T) -> T {
    let file = bytes("golden.safetensors");
    read(&SafeTensors::deserialize(&file).unwrap())
}

impl Case {
    /// The weights under Real-ESRGAN's names.
    pub fn tensors(&self) -> Vec<Tensor> {
        let draw = |(name, shape, seed, scale, shift): &(String, Vec<usize>, u64, f32, f32)| {
            let values = Generator::new(*seed).normal(shape.iter().product());
            let values = values.iter().map(|value| f16::from_f32(value * scale + shift)).collect();
            (name.clone(), shape.clone(), values)
        };
        self.weights.iter().map(draw).collect()
    }

    /// The weights under all names: Real-ESRGAN's, those of a training run, those of other releases.
    pub fn spellings(&self) -> Vec<Vec<Tensor>> {
        let own = self.tensors();
        let named = |name: &dyn Fn(usize) -> String| {
            let tensors = own.iter().enumerate();
            tensors
                .map(|(i, (_, shape, values))| (name(i), shape.clone(), values.clone()))
                .collect()
        };
        let mut all = vec![
            own.clone(),
            named(&|i| format!("params_ema.{}", own[i].0)),
            named(&|i| format!("params.{}", own[i].0)),
        ];
        all.extend(self.others.iter().map(|names| named(&|i| names[i].clone())));
        all
    }
}

/// A safetensors file.
pub fn file(tensors: &[Tensor]) -> Vec<u8> {
    let data: Vec<Vec<u8>> = tensors.iter().map(|t| bytemuck::cast_slice(&t.2).to_vec()).collect();
    let views = tensors.iter().zip(&data).map(|((name, shape, _), data)| {
        (name, TensorView::new(Dtype::F16, shape.clone(), data).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// An upscaler of a file in memory.
pub fn open(gpu: &Gpu, tensors: &[Tensor]) -> Upscaler {
    Upscaler::from_bytes(gpu, "upscaler.safetensors", file(tensors)).unwrap()
}

/// The upscaler of a case.
pub fn upscaler(gpu: &Gpu, case: &str) -> Upscaler {
    open(gpu, &cases()[case].tensors())
}

/// An image `[H, W, 3]` in [0, 1] as a picture.
pub fn picture(width: usize, height: usize, image: &[f32]) -> Picture {
    let byte = |value: &f32| (value.clamp(0.0, 1.0) * 255.0).round_ties_even() as u8;
    Picture::new(width, height, image.iter().map(byte).collect()).unwrap()
}

/// A golden tensor as a picture.
pub fn golden_picture(golden: &SafeTensors<'_>, name: &str) -> Picture {
    let (shape, values) = crate::common::golden(golden, name);
    picture(shape[3], shape[2], &crate::common::nhwc(&shape, &values))
}

/// A smooth picture with some detail.
pub fn waves(width: usize, height: usize) -> Picture {
    let value = |x: usize, y: usize, c: usize| {
        let (x, y) = (x as f32, y as f32);
        let wave = (0.07 * x + c as f32).sin() * (0.05 * y).cos() + 0.3 * (0.9 * x + 0.7 * y).sin();
        0.5 + 0.3 * wave
    };
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let image: Vec<f32> = pixels.flat_map(|(x, y)| [0, 1, 2].map(|c| value(x, y, c))).collect();
    picture(width, height, &image)
}
