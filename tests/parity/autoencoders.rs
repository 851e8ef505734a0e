//! Other autoencoders than Stable Diffusion 1's: TAESD, and `AutoencoderKL` with other
//! configurations. The references are made by `tests/golden/make_vae.py`.

use crate::blocks::{assert_complete, check_everywhere, run};
use crate::{bytes, common, path, to_bytes};
use croquis::diffusion::{Autoencoder, Diffusion, Request};
use croquis::files::ModelFiles;
use croquis::internal::graph::passes::fuse;
use croquis::internal::graph::{Builder, Scope, Tensor};
use croquis::internal::models::autoencoder::{self, AutoencoderConfig};
use croquis::internal::models::parse_config;
use croquis::internal::models::tiny_autoencoder::{self, TinyAutoencoderConfig, diffusers_names};
use croquis::internal::shape::{Storage, TensorType};
use croquis::internal::weights::{View, Weights};
use croquis::picture::Picture;
use safetensors::SafeTensors;

const TAESD: &str = "tests/golden/taesd-tiny";
const VARIANTS: &str = "tests/golden/vae-variants";

fn weights(folder: &str) -> Weights {
    Weights::open(path(&format!("{folder}/diffusion_pytorch_model.safetensors"))).unwrap()
}

fn config(folder: &str) -> String {
    String::from_utf8(bytes(&format!("{folder}/config.json"))).unwrap()
}

/// A golden tensor as `[N, H, W, C]`.
fn image(golden: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let (shape, values) = common::golden(golden, name);
    common::nhwc(&shape, &values)
}

/// Compares every layer that an encoder or decoder computes from `input` with the golden tensors.
fn compare(
    golden: &SafeTensors<'_>,
    weights: &Weights,
    prefix: &str,
    (shape, input): (&[usize], &[f32]),
    network: impl for<'g> Fn(&Scope<'g>, Tensor<'g>) -> Tensor<'g>,
) {
    let builder = Builder::new();
    let m = Scope::new(&builder, "vae", weights);
    let tensor = builder.input("in", TensorType::real([shape[0], shape[2], shape[3], shape[1]]));
    network(&m, tensor);
    let graph = fuse(builder.finish_with_taps().unwrap());
    assert_complete(golden, &[prefix], &[], &graph);
    check_everywhere(golden, |gpu| run(gpu, weights, &graph, &[("in", input)]));
}

/// Compares encoder and decoder of the tiny autoencoder layer by layer.
fn compare_taesd(weights: &Weights) {
    let file = bytes(&format!("{TAESD}/golden.safetensors"));
    let golden = SafeTensors::deserialize(&file).unwrap();
    let config: TinyAutoencoderConfig = parse_config("config.json", &config(TAESD)).unwrap();
    config.check("config.json").unwrap();
    let (shape, _) = common::golden(&golden, "latents");
    let mut latents = image(&golden, "latents");
    config.unscale(&mut latents);
    compare(&golden, weights, "vae.decoder.", (&shape, &latents), |m, x| {
        tiny_autoencoder::decode(m, &config, x)
    });
    let (shape, _) = common::golden(&golden, "image");
    let picture: Vec<_> = image(&golden, "image").iter().map(|v| (v + 1.0) / 2.0).collect();
    compare(&golden, weights, "vae.encoder.", (&shape, &picture), |m, x| {
        tiny_autoencoder::encode(m, &config, x)
    });
}

#[test]
fn taesd_layer_by_layer() {
    compare_taesd(&weights(TAESD));
}

#[test]
#[should_panic(expected = "blocks diverge, first vae.decoder.layers.11")]
fn a_wrong_layer_of_taesd_is_named() {
    // Two convolutions of one shape change places.
    let swapped = weights(TAESD).map_names(|name, _| {
        let new = match name {
            "decoder.layers.11.weight" => "decoder.layers.16.weight",
            "decoder.layers.16.weight" => "decoder.layers.11.weight",
            name => name,
        };
        vec![(new.to_string(), View::Whole)]
    });
    compare_taesd(&swapped.unwrap());
}

/// The weights under the names of the original files: encoder or decoder, whose layers count from
/// 1.
fn original(half: &str) -> Weights {
    let prefix = format!("{half}.layers.");
    let first = usize::from(half == "decoder");
    let named = weights(TAESD).map_names(|name, _| {
        let Some(rest) = name.strip_prefix(&prefix) else { return Vec::new() };
        let (layer, rest) = rest.split_once('.').unwrap();
        let layer = layer.parse::<usize>().unwrap() + first;
        vec![(format!("{layer}.{rest}"), View::Whole)]
    });
    named.unwrap()
}

#[test]
fn taesd_from_its_original_files() {
    let [decoder, encoder] = [original("decoder"), original("encoder")];
    assert!(decoder.shape("3.conv.0.weight").is_some() && decoder.shape("0.weight").is_none());
    assert!(encoder.shape("1.conv.4.bias").is_some());
    let merged = diffusers_names(decoder).unwrap().merge(diffusers_names(encoder).unwrap());
    compare_taesd(&merged.unwrap());
    assert!(Autoencoder::tiny([original("decoder")]).is_ok());
    let twice = Autoencoder::tiny([original("decoder"), original("decoder")]);
    assert_eq!(twice.err().unwrap().kind(), croquis::ErrorKind::Weights);
    let other = Autoencoder::tiny([weights("tests/golden/sd1-tiny/vae")]).err().unwrap();
    assert_eq!(other.kind(), croquis::ErrorKind::Weights);
    assert!(other.to_string().contains("tiny autoencoder"), "{other}");
}

#[test]
fn an_autoencoder_without_attention_and_quantisation() {
    let file = bytes(&format!("{VARIANTS}/golden.safetensors"));
    let golden = SafeTensors::deserialize(&file).unwrap();
    let config: AutoencoderConfig = parse_config("config.json", &config(VARIANTS)).unwrap();
    config.check("config.json").unwrap();
    let weights = weights(VARIANTS);
    let (shape, _) = common::golden(&golden, "latents");
    let mut latents = image(&golden, "latents");
    config.unscale(&mut latents);
    compare(&golden, &weights, "vae.decoder.", (&shape, &latents), |m, x| {
        autoencoder::decode(m, &config, x)
    });
    let (shape, _) = common::golden(&golden, "image");
    let picture = image(&golden, "image");
    compare(&golden, &weights, "vae.encoder.", (&shape, &picture), |m, x| {
        autoencoder::encode(m, &config, x)
    });
    let mut mean: Vec<f32> =
        image(&golden, "moments").chunks(8).flat_map(|moments| moments[..4].to_vec()).collect();
    config.scale(&mut mean);
    assert!(common::relative_l2(&mean, &image(&golden, "encoded")) < 1e-6);
    config.unscale(&mut mean);
    assert!(common::relative_l2(&mean, &image(&golden, "encoded")) > 1.0);
}

/// The tiny Stable Diffusion 1 in memory, with the autoencoder of another folder.
fn stable_diffusion_with(vae: &str) -> ModelFiles {
    let mut files = Vec::new();
    for name in [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
        "tokenizer/special_tokens_map.json",
        "tokenizer/tokenizer_config.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
    ] {
        files.push((name.to_string(), bytes(&format!("tests/golden/sd1-tiny/{name}")).into()));
    }
    for name in ["config.json", "diffusion_pytorch_model.safetensors"] {
        files.push((format!("vae/{name}"), bytes(&format!("{vae}/{name}")).into()));
    }
    ModelFiles::memory("sd1-tiny", files)
}

/// Decodes latents with the driver on every device, and compares with `decoded`.
fn check_decoding(vae: &str, open: impl Fn(&croquis::gpu::Gpu) -> Diffusion) {
    let file = bytes(&format!("{vae}/golden.safetensors"));
    let golden = SafeTensors::deserialize(&file).unwrap();
    let (shape, latents) = common::golden(&golden, "latents");
    let expected = image(&golden, "decoded");
    for gpu in common::gpus() {
        let f32_stored = gpu.target().storage == Storage::F32;
        let (tolerance, psnr) = if f32_stored { (1e-4, 60.0) } else { (1e-2, 40.0) };
        let mut diffusion = open(gpu);
        let raw = gpu.block_on(diffusion.decode_raw(&latents, shape[2], shape[3])).unwrap();
        let error = common::relative_l2(&raw, &expected);
        assert!(error < tolerance, "{}: {vae}: relative error {error:.2e}", common::name(gpu));
        let picture = gpu.block_on(diffusion.preview(&latents, shape[2], shape[3])).unwrap();
        let got = common::psnr(picture.rgb(), &to_bytes(&expected));
        assert!(got > psnr, "{}: {vae}: {got:.1} dB", common::name(gpu));
    }
}

#[test]
fn autoencoders_of_model_folders() {
    for vae in [TAESD, VARIANTS] {
        check_decoding(vae, |gpu| Diffusion::open(gpu, &stable_diffusion_with(vae)).unwrap());
    }
}

#[test]
fn taesd_in_place_of_a_models_autoencoder_and_for_previews() {
    let folder = stable_diffusion_with("tests/golden/sd1-tiny/vae");
    let taesd = Autoencoder::open(path(TAESD)).unwrap();
    check_decoding(TAESD, |gpu| {
        let mut diffusion = Diffusion::open(gpu, &folder).unwrap();
        diffusion.set_autoencoder(taesd.clone()).unwrap();
        diffusion
    });
    // The preview decoder serves previews and nothing else.
    let gpu = &common::gpus()[0];
    let mut diffusion = Diffusion::open(gpu, &folder).unwrap();
    let latents: Vec<f32> = (0..4 * 64).map(|i| (i as f32 * 0.9).sin()).collect();
    let both = |diffusion: &mut Diffusion| {
        let preview = gpu.block_on(diffusion.preview(&latents, 8, 8)).unwrap();
        (preview, gpu.block_on(diffusion.decode(&latents, 8, 8)).unwrap())
    };
    let (own, decoded) = both(&mut diffusion);
    assert_eq!(own, decoded);
    diffusion.set_preview_decoder(Some(taesd)).unwrap();
    let (preview, unchanged) = both(&mut diffusion);
    assert_eq!(unchanged, decoded);
    assert!(common::psnr(preview.rgb(), decoded.rgb()) < 30.0);
    let fast = diffusion.preview_fast(&latents, 8, 8).unwrap();
    assert_eq!((fast.width(), fast.height()), (8, 8));
    // Other latents than the model's are refused.
    let mut emoji = Diffusion::open(gpu, &ModelFiles::embedded()).unwrap();
    let refused = emoji.set_preview_decoder(Some(Autoencoder::open(path(TAESD)).unwrap()));
    let error = refused.err().unwrap();
    assert_eq!(error.kind(), croquis::ErrorKind::Argument);
    assert!(error.to_string().contains("expected 8 channels"), "{error}");
}

#[test]
fn encoding_by_taesd_draws_no_noise() {
    // A strength of next to nothing keeps the encoded latents but for the sampler's noise, which is
    // then the generator's first draw.
    let file = bytes(&format!("{TAESD}/golden.safetensors"));
    let golden = SafeTensors::deserialize(&file).unwrap();
    let rgb = to_bytes(&image(&golden, "image"));
    let picture = Picture::new(32, 24, rgb).unwrap();
    let gpu = &common::gpus()[0];
    let mut diffusion = Diffusion::open(gpu, &stable_diffusion_with(TAESD)).unwrap();
    let request = Request::new("").steps(10).guidance_scale(1.0).image(picture, 0.1);
    let start = |diffusion: &mut Diffusion, request: &Request| {
        let run = gpu.block_on(diffusion.start(request)).unwrap();
        gpu.block_on(run.latents()).unwrap()
    };
    let seeded = start(&mut diffusion, &request.clone().seed(3));
    let noise = croquis::internal::random::Generator::new(3).normal(seeded.len());
    let given = start(&mut diffusion, &Request { latents: Some(noise), ..request.clone() });
    assert_eq!(seeded, given);
    // With no noise at all, the first sample is a multiple of the encoded latents.
    let silent = Request { latents: Some(vec![0.0; seeded.len()]), ..request };
    let silent = start(&mut diffusion, &silent);
    let (_, encoded) = common::golden(&golden, "encoded");
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let scale = dot(&silent, &encoded) / dot(&encoded, &encoded);
    let expected: Vec<_> = encoded.iter().map(|value| value * scale).collect();
    let error = common::relative_l2(&silent, &expected);
    assert!((0.5..=1.0).contains(&scale) && error < 2e-2, "{scale} {error:.2e}");
}
