//! Model families and configurations, inferred from shapes alone.

use crate::{Shapes, list, shrunk, zeros};
use croquis::ErrorKind;
use croquis::files::checkpoint::Checkpoint;
use croquis::internal::schedulers::Prediction;
use croquis::internal::weights::Weights;
use serde_json::{Value, json};

fn open(shapes: &Shapes) -> croquis::Result<Checkpoint> {
    Checkpoint::new("a.safetensors", Weights::from_bytes("a.safetensors", zeros(shapes))?)
}

fn text(checkpoint: &Checkpoint, path: &str) -> Value {
    serde_json::from_slice(checkpoint.texts.get(path).expect(path)).expect(path)
}

/// Configurations inferred from the shapes of the published files equal the published
/// configurations.
#[test]
fn configurations_are_the_published_ones() {
    let cases = [
        (
            "sd15",
            json!({
                "unet": {"attention_head_dim": 8, "block_out_channels": [320, 640, 1280, 1280],
                    "cross_attention_dim": 768, "in_channels": 4, "layers_per_block": 2,
                    "sample_size": 64, "use_linear_projection": false},
                "vae": {"block_out_channels": [128, 256, 512, 512], "latent_channels": 4,
                    "layers_per_block": 2, "scaling_factor": 0.18215, "force_upcast": false},
                "text_encoder": {"hidden_act": "quick_gelu", "hidden_size": 768,
                    "num_attention_heads": 12, "num_hidden_layers": 12, "vocab_size": 49408},
                "scheduler": {"_class_name": "PNDMScheduler", "prediction_type": "epsilon",
                    "skip_prk_steps": true, "steps_offset": 1, "set_alpha_to_one": false},
            }),
        ),
        ("sd15-inpainting", json!({"unet": {"in_channels": 9, "out_channels": 4}})),
        (
            "sd21",
            json!({
                "unet": {"attention_head_dim": [5, 10, 20, 20], "cross_attention_dim": 1024,
                    "sample_size": 96, "use_linear_projection": true},
                "text_encoder": {"hidden_act": "gelu", "hidden_size": 1024, "num_hidden_layers": 23,
                    "num_attention_heads": 16, "intermediate_size": 4096},
                "scheduler": {"_class_name": "DDIMScheduler", "prediction_type": "v_prediction"},
            }),
        ),
        (
            "sdxl",
            json!({
                "unet": {"attention_head_dim": [5, 10, 20], "addition_embed_type": "text_time",
                    "addition_time_embed_dim": 256, "cross_attention_dim": 2048,
                    "projection_class_embeddings_input_dim": 2816, "sample_size": 128,
                    "down_block_types":
                        ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
                    "transformer_layers_per_block": [1, 2, 10]},
                "vae": {"scaling_factor": 0.13025, "force_upcast": true, "sample_size": 1024},
                "text_encoder": {"hidden_act": "quick_gelu", "num_hidden_layers": 12},
                "text_encoder_2": {"hidden_act": "gelu", "num_hidden_layers": 32,
                    "projection_dim": 1280, "num_attention_heads": 20},
                "scheduler": {"_class_name": "EulerDiscreteScheduler", "steps_offset": 1,
                    "timestep_spacing": "leading", "prediction_type": "epsilon"},
            }),
        ),
    ];
    for (model, expected) in cases {
        let path = crate::fresh(&format!("{model}.safetensors"));
        crate::sparse(&path, &list(&format!("ldm-{model}")));
        let weights = Weights::open(&path).expect(model);
        let _ = std::fs::remove_file(&path);
        let checkpoint = Checkpoint::new(model, weights).expect(model);
        for (component, keys) in expected.as_object().expect("components") {
            let file = if component == "scheduler" { "scheduler_config" } else { "config" };
            let config = text(&checkpoint, &format!("{component}/{file}.json"));
            for (key, value) in keys.as_object().expect("keys") {
                assert_eq!(&config[key], value, "{model}: {component}: {key}");
            }
        }
    }
}

#[test]
fn relatives_are_named_and_refused() {
    let cases = [
        ("sdxl", "attn2.to_k.weight", 1, 1280, "refiner"),
        ("sdxl", "attn2.to_k.weight", 1, 1024, "unCLIP"),
        ("sd21", "input_blocks.0.0.weight", 1, 5, "depth"),
        ("sd21", "input_blocks.0.0.weight", 1, 7, "upscaler"),
        ("sd15", "input_blocks.0.0.weight", 1, 6, "found 6"),
    ];
    for (model, name, axis, size, found) in cases {
        let mut file = shrunk(&list(&format!("ldm-{model}")));
        let changed = file.iter_mut().filter(|(key, _)| key.ends_with(name));
        assert!(changed.map(|(_, shape)| shape[axis] = size).count() > 0, "{name}");
        let error = open(&file).err().expect(found);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().starts_with("a.safetensors: "), "{error}");
        assert!(error.to_string().contains(found), "{found}: {error}");
    }
    for (name, found) in [
        ("model.diffusion_model.double_blocks.0.img_attn.qkv.weight", "FLUX"),
        ("double_blocks.0.img_attn.qkv.weight", "FLUX"),
        ("model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight", "Stable Diffusion 3"),
        ("clip_txt_mapper.weight", "Stable Cascade"),
        ("edm_mean", "Playground"),
        ("lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight", "LoRA"),
        ("lora_controlnet", "Control-LoRA"),
        ("difference", "ControlNet that holds differences"),
        ("emb_params", "embedding"),
    ] {
        let error = open(&Shapes::from([(name.into(), vec![2, 2])])).err().expect(found);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        let message = error.to_string();
        assert!(message.contains("found ") && message.contains(found), "{found}: {message}");
    }
    let error = open(&Shapes::from([("x.weight".into(), vec![2])])).err().expect("no model");
    assert_eq!(error.kind(), ErrorKind::Format);
    assert!(error.to_string().contains("such as x.weight"), "{error}");
}

#[test]
fn predictions_are_seen_from_marks() {
    let mut xl = shrunk(&list("ldm-sdxl"));
    let config = |file: &Shapes| {
        let checkpoint = open(file).expect("a checkpoint");
        (checkpoint.sampling.expect("a UNet").prediction, text(&checkpoint, SCHEDULER))
    };
    const SCHEDULER: &str = "scheduler/scheduler_config.json";
    assert_eq!(config(&xl).0, Prediction::Epsilon);
    xl.insert("v_pred".into(), vec![0]);
    let (prediction, scheduler) = config(&xl);
    assert_eq!(prediction, Prediction::Velocity);
    assert_eq!(scheduler["timestep_spacing"], "leading");
    xl.insert("ztsnr".into(), vec![0]);
    let (_, scheduler) = config(&xl);
    assert_eq!(scheduler["rescale_betas_zero_snr"], true);
    assert_eq!(scheduler["timestep_spacing"], "trailing");

    // Stability's later layout of 2.x is SD-Turbo's.
    let two = shrunk(&list("ldm-sd21"));
    assert_eq!(config(&two).0, Prediction::Velocity);
    let rename =
        |name: &String| name.replace("cond_stage_model.model.", "conditioner.embedders.0.model.");
    let turbo = two.iter().map(|(name, shape)| (rename(name), shape.clone())).collect();
    let (prediction, scheduler) = config(&turbo);
    assert_eq!(prediction, Prediction::Epsilon);
    assert_eq!(scheduler["_class_name"], "EulerDiscreteScheduler");
    assert_eq!(scheduler["timestep_spacing"], "trailing");
}

/// Files converted back from diffusers lack OpenCLIP's last layer and projection; no further layer
/// is left out of them.
#[test]
fn the_last_layer_is_left_out_once() {
    let whole = shrunk(&list("ldm-sd21"));
    let layers = |file: &Shapes| {
        text(&open(file).expect("a checkpoint"), "text_encoder/config.json")["num_hidden_layers"]
            .clone()
    };
    assert_eq!(layers(&whole), 23);
    let mut back = whole.clone();
    back.retain(|name, _| {
        !name.contains("resblocks.23.")
            && !name.ends_with("text_projection")
            && !name.ends_with("logit_scale")
    });
    assert_eq!(layers(&back), 23);
    // A smaller encoder.
    let mut small = whole;
    small.retain(|name, _| (2..24).all(|n| !name.contains(&format!("resblocks.{n}."))));
    assert_eq!(layers(&small), 1);
}
