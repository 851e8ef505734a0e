//! Models composed of several files: a UNet, an autoencoder or a ControlNet by itself.

use crate::golden::{error_of_run, files, path};
use crate::{common, fresh};
use croquis::ErrorKind;
use croquis::Storage;
use croquis::diffusion::{Autoencoder, Control, ControlNet, Diffusion, Model, Request};
use croquis::files::ModelFiles;
use croquis::files::checkpoint::blocks::RESNET;
use croquis::files::checkpoint::{Checkpoint, UnetLayout};
use croquis::internal::schedulers::Prediction;
use croquis::internal::weights::Weights;
use croquis::picture::Picture;
use safetensors::SafeTensors;
use serde_json::Value;
use std::path::{Path, PathBuf};

pub fn project(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}

/// A copy of a safetensors file with renamed tensors and optionally a prediction type in its
/// metadata; tensors without a name are left out.
fn renamed(
    from: &Path,
    to: &str,
    prediction: Option<&str>,
    name: impl Fn(&str) -> Option<String>,
) -> PathBuf {
    let bytes = std::fs::read(from).expect("a file");
    let file = SafeTensors::deserialize(&bytes).expect("tensors");
    let tensors = file.iter().filter_map(|(old, tensor)| Some((name(old)?, tensor)));
    let path = fresh(to);
    let key = "modelspec.prediction_type";
    let metadata = prediction.map(|word| [(key.to_string(), word.to_string())].into());
    let bytes = safetensors::serialize(tensors, metadata).expect("a file");
    std::fs::write(&path, bytes).expect("a file");
    path
}

/// The UNet of a single file by itself, without a prefix, as in ComfyUI-GGUF.
fn bare_unet(model: &str, prediction: Option<&str>) -> ModelFiles {
    let to = format!("{model}-unet.safetensors");
    let prefix = "model.diffusion_model.";
    let file = path(&format!("{model}.safetensors"));
    let file = renamed(&file, &to, prediction, |name| name.strip_prefix(prefix).map(String::from));
    ModelFiles::open(file).expect("a UNet")
}

/// A model with its own UNet from another file gives diffusers' results; with a quantised UNet
/// nearly so.
#[test]
fn a_unet_by_itself_is_completed_by_another_model() {
    for (model, run) in [("sd1", "txt2img.pndm"), ("sd2", "txt2img.ddim")] {
        let unet = bare_unet(model, None);
        let error = Model::open(&unet).err().expect("incomplete");
        assert!(error.to_string().contains("complete this one by another model"), "{error}");
        let whole = files(model, |_| ()).with_unet_of(&unet).expect("a model");
        for gpu in common::gpus().iter().filter(|gpu| gpu.target().storage == Storage::F32) {
            let error = error_of_run(gpu, &whole, model, run);
            assert!(error < 1e-4, "{model} on {}: {error:.2e}", common::name(gpu));
        }
        let summary = whole.summary().expect("a summary");
        assert!(summary.name.contains(model) && summary.name.contains("with the UNet of"));
        assert_eq!(summary.components.len(), 3, "{model}");
    }
    let storage = |gpu: &&croquis::gpu::Gpu| gpu.target().storage == Storage::F32;
    let gpu = common::gpus().iter().find(storage).expect("f32");
    for (file, range) in [("sd1-q8_0.gguf", 1e-3..0.2), ("sd1-q4_0.gguf", 1e-2..2.0)] {
        let unet = ModelFiles::open(path(file)).expect(file);
        let whole = files("sd1", |_| ()).with_unet_of(&unet).expect(file);
        let error = error_of_run(gpu, &whole, "sd1", "txt2img.pndm");
        assert!(range.contains(&error), "{file}: {error:.2e}");
    }
}

fn scheduler(files: &ModelFiles) -> String {
    files.summary().expect("a summary").prediction.expect("a prediction")
}

#[test]
fn what_a_unet_says_of_its_training_goes_with_it() {
    let base = || files("sd2", |_| ());
    assert_eq!(scheduler(&base()), "v_prediction");
    let plain = base().with_prediction(Prediction::Epsilon).expect("a scheduler");
    // A file that says nothing leaves the base's prediction and size, though its family's is usual.
    let silent = bare_unet("sd2", None);
    let kept = plain.clone().with_unet_of(&silent).expect("a model");
    assert_eq!(scheduler(&kept), "epsilon");
    let request = Request::new("");
    let shape = |files: &ModelFiles| Model::open(files).and_then(|m| m.latent_shape(&request));
    assert_eq!(shape(&kept).ok(), shape(&plain).ok());
    assert!(shape(&kept).is_ok());
    let speaks = bare_unet("sd2", Some("v_prediction"));
    assert_eq!(scheduler(&plain.clone().with_unet_of(&speaks).expect("a model")), "v_prediction");
    // A folder or another whole model says it in its scheduler.
    let whole = files("sd2", |_| ());
    assert_eq!(scheduler(&plain.with_unet_of(&whole).expect("a model")), "v_prediction");
    let epsilon = base().with_prediction(Prediction::Epsilon).expect("a scheduler");
    assert_eq!(scheduler(&base().with_unet_of(&epsilon).expect("a model")), "epsilon");
}

#[test]
fn unets_of_another_family_are_refused() {
    for (base, other, words) in [
        ("sd1", "sd2", ["of Stable Diffusion 1.x", "got one of Stable Diffusion 2.x"]),
        ("sdxl", "sd1", ["of Stable Diffusion XL", "got one of Stable Diffusion 1.x"]),
    ] {
        let unet = bare_unet(other, Some("epsilon"));
        let error = files(base, |_| ()).with_unet_of(&unet).err().expect("refused");
        assert_eq!(error.kind(), ErrorKind::Weights, "{error}");
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
    }
    let none = files("sd1", |_| ());
    let folder = ModelFiles::open(project("taesd-tiny")).expect("a folder");
    let error = none.with_unet_of(&folder).err().expect("refused");
    assert!(error.to_string().contains("got \"AutoencoderTiny\""), "{error}");
    let folder = ModelFiles::open(project("controlnet-tiny/controlnet")).expect("a folder");
    let error = folder.clone().with_unet_of(&folder).err().expect("refused");
    assert!(error.to_string().contains("got \"ControlNetModel\""), "{error}");
}

/// A folder that contains the UNet directly.
#[test]
fn a_folder_of_a_unet() {
    let folder = ModelFiles::open(project("sd1-inpaint-tiny/unet")).expect("a folder");
    let base = ModelFiles::open(project("sd1-tiny")).expect("a folder");
    let whole = base.with_unet_of(&folder).expect("a model");
    let family = whole.summary().expect("a summary").family.expect("a family");
    assert_eq!(family, "Stable Diffusion 1.x, inpainting");
    assert!(Model::open(&whole).is_ok());
}

/// The relative L2 error of the decoded golden picture.
fn decoding_error(diffusion: &mut Diffusion, model: &str, scale: f32) -> f64 {
    let gpu = diffusion.gpu().clone();
    let file = std::fs::read(path(&format!("{model}.golden.safetensors"))).expect(model);
    let golden = SafeTensors::deserialize(&file).expect(model);
    let (shape, latents) = common::golden(&golden, "vae.decoder.latents");
    let (image_shape, image) = common::golden(&golden, "vae.decoder.conv_out");
    let latents: Vec<f32> = latents.iter().map(|value| value * scale).collect();
    let decoded = gpu.block_on(diffusion.decode_raw(&latents, shape[2], shape[3]));
    common::relative_l2(&decoded.expect(model), &common::nhwc(&image_shape, &image))
}

/// `vae-ft-mse-840000` and `sdxl_vae` have no prefix; a whole model is accepted as a source too.
/// The scaling factor is that of the model's family.
#[test]
fn autoencoders_by_themselves() {
    let gpu = &common::gpus()[0];
    let allowed = if gpu.target().storage == Storage::F32 { 1e-4 } else { 2e-2 };
    for (model, scale) in [("sd1", 0.18215), ("sdxl", 0.13025)] {
        let whole = path(&format!("{model}.safetensors"));
        let prefix = "first_stage_model.";
        let inside = |name: &str| name.strip_prefix(prefix).map(String::from);
        let bare = renamed(&whole, &format!("{model}-vae.safetensors"), None, inside);
        let prefixed = |name: &str| inside(name).map(|name| format!("{prefix}{name}"));
        let part = renamed(&whole, &format!("{model}-first.safetensors"), None, prefixed);
        for file in [&bare, &part, &whole] {
            let mut diffusion = Diffusion::open(gpu, &files(model, |_| ())).expect(model);
            // Something else is there before, which scales by no factor.
            let taesd = Autoencoder::open(project("taesd-tiny")).expect("TAESD");
            diffusion.set_autoencoder(taesd).expect("TAESD");
            let other = decoding_error(&mut diffusion, model, scale);
            diffusion.set_autoencoder(Autoencoder::open(file).expect(model)).expect(model);
            let error = decoding_error(&mut diffusion, model, scale);
            let wrong = decoding_error(&mut diffusion, model, 0.2);
            let seen = [other, wrong].iter().all(|wrong| *wrong > 2.0 * allowed);
            assert!(
                error < allowed && seen,
                "{model}: {file:?}: {error:.2e}, {other:.2e} {wrong:.2e}"
            );
        }
    }
    let error = Autoencoder::open(path("sd1-q8_0.gguf")).err().expect("refused");
    assert_eq!(error.kind(), ErrorKind::Weights, "{error}");
    assert!(error.to_string().contains("sd1-q8_0.gguf: expected an autoencoder, found unet"));
    let pickle = fresh("vae.pt");
    std::fs::write(&pickle, b"PK\x03\x04\0\0").expect("a file");
    let error = Autoencoder::open(&pickle).err().expect("refused");
    assert!(error.to_string().contains("can run any code"), "{error}");
}

/// The name of a diffusers layer in ControlNet's original code.
pub fn original(blocks: &[(String, String)], name: &str) -> String {
    let (layer, leaf) = name.rsplit_once('.').expect(name);
    let embedding =
        |layer: &str| layer.strip_prefix("controlnet_cond_embedding.").map(String::from);
    if let Some(layer) = embedding(layer) {
        let number = match layer.as_str() {
            "conv_in" => 0,
            "conv_out" => 14,
            block => 2 + 2 * block["blocks.".len()..].parse::<usize>().expect(block),
        };
        return format!("input_hint_block.{number}.{leaf}");
    }
    if let Some(number) = layer.strip_prefix("controlnet_down_blocks.") {
        return format!("zero_convs.{number}.0.{leaf}");
    }
    if layer == "controlnet_mid_block" {
        return format!("middle_block_out.0.{leaf}");
    }
    let inside = |ours: &str| name.strip_prefix(ours).is_some_and(|rest| rest.starts_with('.'));
    let (ldm, ours) = blocks.iter().find(|(_, ours)| inside(ours)).expect(name);
    let rest = &name[ours.len() + 1..];
    let resnet =
        RESNET.iter().find(|(_, layer)| rest.strip_suffix(leaf) == Some(&format!("{layer}.")));
    match resnet.filter(|_| ours.contains("resnets")) {
        Some((layer, _)) => format!("{ldm}.{layer}.{leaf}"),
        None => format!("{ldm}.{rest}"),
    }
}

/// The tiny ControlNet in the original layout, with and without the prefix, gives bit-identical
/// results. It has norms of 16 groups, where the original code always has 32.
#[test]
fn a_controlnet_in_one_file() {
    let folder = project("controlnet-tiny/controlnet");
    let weights = folder.join("diffusion_pytorch_model.safetensors");
    let names = Weights::open(&weights).expect("weights");
    let blocks = UnetLayout::from_diffusers(names.names()).block_names();
    let gpu = &common::gpus()[0];
    let base = ModelFiles::open(project("sd1-tiny")).expect("a folder");
    let rgb = (0..64 * 64 * 3).map(|i| (i * 7 % 256) as u8).collect();
    let control = Control::new(Picture::new(64, 64, rgb).expect("a picture"));
    let request = Request::new("a red apple").seed(3).steps(2).size(64, 64);
    let draw = |controlnet: Option<ControlNet>| {
        let mut diffusion = Diffusion::open(gpu, &base).expect("a model");
        let steered = controlnet.is_some();
        diffusion.set_controlnets(controlnet.into_iter().collect()).expect("a ControlNet");
        let request =
            if steered { request.clone().control(control.clone()) } else { request.clone() };
        diffusion.generate_blocking(&request).expect("a picture").latents
    };
    let opened = ControlNet::open(&ModelFiles::open(&folder).expect("a folder"));
    let expected = draw(Some(opened.expect("a ControlNet")));
    assert_ne!(draw(None), expected);
    for prefix in ["control_model.", ""] {
        let name = |name: &str| Some(format!("{prefix}{}", original(&blocks, name)));
        let file = renamed(&weights, &format!("control-{}.safetensors", prefix.len()), None, name);
        let Checkpoint { mut texts, weights, unknown, .. } =
            Checkpoint::new("control", Weights::open(&file).expect("a file"))
                .expect("a ControlNet");
        assert!(unknown.is_empty(), "{unknown:?}");
        let config = texts.get_mut("controlnet/config.json").expect("a configuration");
        let mut value: Value = serde_json::from_slice(config).expect("JSON");
        assert_eq!(value["norm_num_groups"], 32);
        value["norm_num_groups"] = 16.into();
        *config = value.to_string().into_bytes();
        let parts = ModelFiles::parts("control", texts, weights);
        assert!(
            draw(Some(ControlNet::open(&parts).expect("a ControlNet"))) == expected,
            "{prefix}"
        );
        let plain = ModelFiles::open(&file).expect("a file");
        let summary = plain.summary().expect("a summary");
        assert_eq!(summary.family.as_deref(), Some("ControlNetModel"));
        assert_eq!(summary.components[0].name, "controlnet");
        assert!(ControlNet::open(&plain).is_ok());
        let error = Model::open(&plain).err().expect("no model");
        assert!(error.to_string().contains("found controlnet only"), "{error}");
    }
    let error = ControlNet::open(&base).err().expect("none");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[test]
fn controlnets_that_work_otherwise_are_refused() {
    let folder = project("controlnet-tiny/controlnet");
    let config = std::fs::read_to_string(folder.join("config.json")).expect("a configuration");
    let weights =
        std::fs::read(folder.join("diffusion_pytorch_model.safetensors")).expect("a file");
    for (old, new, words) in [
        ("\"global_pool_conditions\": false", "\"global_pool_conditions\": true", "got true"),
        ("\"rgb\"", "\"bgr\"", "controlnet_conditioning_channel_order: expected \"rgb\", got bgr"),
        ("\"ControlNetModel\"", "\"Other\"", "_class_name: expected \"ControlNetModel\""),
    ] {
        let files = ModelFiles::memory(
            "c",
            [
                ("config.json".to_string(), config.replace(old, new).into_bytes().into()),
                ("diffusion_pytorch_model.safetensors".to_string(), weights.clone().into()),
            ],
        );
        let error = ControlNet::open(&files).err().expect(new);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}
