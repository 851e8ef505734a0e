//! LoRA files: one LoRA in three layouts against peft's merged weights
//! (`tests/golden/make_lora.py`), the key names of other layouts, and files that are not LoRAs.

#[path = "../common/files.rs"]
mod files;
#[path = "../common/fuzz.rs"]
#[allow(dead_code)] // each test target uses a part
mod fuzz;

mod lycoris;

use std::path::PathBuf;

use croquis::error::ErrorKind;
use croquis::internal::lora::{Lora, Patches, sum};
use croquis::internal::weights::{WeightFormat, WeightLayout, Weights};
use files::tensors;
use fuzz::Random;

fn golden(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

fn component(component: &str) -> Weights {
    let file = match component {
        "unet" => "diffusion_pytorch_model",
        _ => "model",
    };
    let weights = Weights::open(golden(&format!("sd1-tiny/{component}/{file}.safetensors")));
    weights.unwrap().without_prefix("text_model.").unwrap()
}

fn patches(lora: &Lora, component: &str, weights: &Weights, weight: f32) -> Patches {
    let names: Vec<_> = weights.names().collect();
    lora.patches(component, &names, &[], weight).unwrap()
}

/// The largest difference between the golden tensors with a prefix and the weights.
fn farthest(golden: &Weights, prefix: &str, weights: &Weights) -> f32 {
    let mut largest = 0f32;
    let mut count = 0;
    for (name, short) in golden.names().filter_map(|name| Some((name, name.strip_prefix(prefix)?)))
    {
        let (wanted, got) = (golden.read_f32(name).unwrap(), weights.read_f32(short).unwrap());
        assert_eq!(golden.shape(name), weights.shape(short));
        largest = wanted.iter().zip(&got).map(|(a, b)| (a - b).abs()).fold(largest, f32::max);
        count += 1;
    }
    assert!(count >= 3, "{count} tensors are compared");
    largest
}

#[test]
fn every_layout_merges_as_peft_does() {
    let golden_values = Weights::open(golden("lora/golden.safetensors")).unwrap();
    for layout in ["kohya", "peft", "old"] {
        let lora = Lora::open(golden(&format!("lora/{layout}.safetensors"))).unwrap();
        assert_eq!(lora.components().into_iter().collect::<Vec<_>>(), ["text_encoder", "unet"]);
        for (name, layers) in [("unet", 16), ("text_encoder", 3)] {
            let mut weights = component(name);
            let once = patches(&lora, name, &weights, 1.0);
            assert_eq!(once.len(), layers, "{layout} {name}");
            let half = patches(&lora, name, &weights, 0.5);

            // Values of about 3 in f32; the products of at most 4 numbers are summed in another
            // order.
            let limit = 2e-6;
            weights.set_patches(once.clone()).unwrap();
            let far = farthest(&golden_values, &format!("merged.{name}."), &weights);
            assert!(far < limit, "{layout} {name}: {far}");
            assert!(farthest(&golden_values, &format!("twice.{name}."), &weights) > 0.1);

            weights.set_patches(sum([once, half])).unwrap();
            let far = farthest(&golden_values, &format!("twice.{name}."), &weights);
            assert!(far < limit, "{layout} {name} twice: {far}");
        }
    }
}

#[test]
fn text_encoders_may_have_a_weight_of_their_own() {
    let golden_values = Weights::open(golden("lora/golden.safetensors")).unwrap();
    let lora = Lora::open(golden("lora/kohya.safetensors")).unwrap();
    // The golden values of `merged` are those of weight 1, those of `twice` of weights 1 and 0.5.
    let lora = lora.with_text_encoder_weight(1.0);
    for (name, right, wrong) in [("unet", "twice", "merged"), ("text_encoder", "merged", "twice")] {
        let mut weights = component(name);
        weights.set_patches(patches(&lora, name, &weights, 1.5)).unwrap();
        let far = farthest(&golden_values, &format!("{right}.{name}."), &weights);
        assert!(far < 2e-6, "{name}: {far}");
        assert!(farthest(&golden_values, &format!("{wrong}.{name}."), &weights) > 0.1);
    }
}

#[test]
fn removing_patches_restores_the_bytes() {
    let mut weights = component("unet");
    let plain = weights.clone();
    let lora = Lora::open(golden("lora/kohya.safetensors")).unwrap();
    let patches = patches(&lora, "unet", &weights, 1.0);
    let pack = |weights: &Weights, name: &str| {
        let layout = match weights.shape(name).unwrap().len() {
            2 => WeightLayout::Matrix,
            _ => WeightLayout::Conv,
        };
        weights.pack(name, layout, WeightFormat::F16).unwrap()
    };
    weights.set_patches(patches.clone()).unwrap();
    for name in patches.keys() {
        assert!(pack(&weights, name) != pack(&plain, name), "{name}");
    }
    weights.set_patches(Patches::new()).unwrap();
    for name in patches.keys() {
        assert!(pack(&weights, name) == pack(&plain, name), "{name}");
    }
}

/// A LoRA of rank 1 that changes 2×2 layers by ones; `keys` has at least one key of each layer.
fn lora(keys: &[&str], metadata: &str) -> croquis::Result<Lora> {
    let one: Vec<u8> = [1f32, 1.0].iter().flat_map(|one| one.to_le_bytes()).collect();
    let list: Vec<(&str, &str, &[usize], Vec<u8>)> = keys
        .iter()
        .map(|&key| match key {
            _ if key.ends_with("alpha") => (key, "I64", &[][..], 4i64.to_le_bytes().into()),
            _ if key.ends_with("down.weight") || key.contains("_A") => {
                (key, "F32", &[1, 2][..], one.clone())
            }
            _ => (key, "F32", &[2, 1][..], one.clone()),
        })
        .collect();
    Lora::from_bytes("l", tensors(&list, metadata))
}

#[test]
fn layers_are_found_by_the_names_of_all_layouts() {
    let names = [
        "conv_in.weight",
        "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.weight",
        "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0.weight",
        "down_blocks.1.attentions.0.proj_in.bias",
        "down_blocks.0.resnets.0.conv1.weight",
        "encoder.layers.0.self_attn.q_proj.weight",
        "encoder.layers.0.self_attn.out_proj.weight",
    ];
    let pair = |ldm: &str, diffusers: &str| (ldm.to_string(), diffusers.to_string());
    let ldm = [
        pair("input_blocks.4.1", "down_blocks.1.attentions.0"),
        pair("input_blocks.4.10", "down_blocks.1.attentions"),
        pair("input_blocks.1.0", "down_blocks.0.resnets.0"),
        pair("input_blocks.0.0", "conv_in"),
    ];
    let (kohya, peft) =
        (["lora_down.weight", "lora_up.weight"], ["lora_A.weight", "lora_B.weight"]);
    let cases: &[(&str, [&str; 2], &str, &str)] = &[
        ("lora_unet_conv_in.", kohya, "unet", names[0]),
        ("lora_unet_input_blocks_0_0.", kohya, "unet", names[0]),
        ("lora_unet_input_blocks_1_0_in_layers_2.", kohya, "unet", names[4]),
        ("lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.", kohya, "unet", names[1]),
        (
            "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_out_0.",
            kohya,
            "unet",
            names[2],
        ),
        ("lora_te_text_model_encoder_layers_0_self_attn_q_proj.", kohya, "text_encoder", names[5]),
        ("lora_te1_text_model_encoder_layers_0_self_attn_q_proj.", kohya, "text_encoder", names[5]),
        (
            "lora_te2_text_model_encoder_layers_0_self_attn_q_proj.",
            kohya,
            "text_encoder_2",
            names[5],
        ),
        ("unet.conv_in.", peft, "unet", names[0]),
        ("diffusion_model.input_blocks.0.0.", peft, "unet", names[0]),
        ("base_model.model.unet.conv_in.", peft, "unet", names[0]),
        ("unet.base_model.model.conv_in.", peft, "unet", names[0]),
        ("base_model.model.conv_in.", peft, "unet", names[0]),
        (
            "base_model.model.text_model.encoder.layers.0.self_attn.q_proj.",
            peft,
            "text_encoder",
            names[5],
        ),
        (
            "text_encoder_2.text_model.encoder.layers.0.self_attn.q_proj.",
            peft,
            "text_encoder_2",
            names[5],
        ),
        ("text_encoder_2.encoder.layers.0.self_attn.q_proj.", peft, "text_encoder_2", names[5]),
        ("unet.conv_in.lora.", ["down.weight", "up.weight"], "unet", names[0]),
        (
            "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.",
            ["down.weight", "up.weight"],
            "unet",
            names[1],
        ),
        (
            "down_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora.",
            ["down.weight", "up.weight"],
            "unet",
            names[2],
        ),
        (
            "text_encoder.text_model.encoder.layers.0.self_attn.to_out_lora.",
            ["down.weight", "up.weight"],
            "text_encoder",
            names[6],
        ),
        (
            "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.",
            ["down.weight", "up.weight"],
            "text_encoder",
            names[5],
        ),
    ];
    let mut wrong = Vec::new();
    for (module, ends, component, wanted) in cases {
        let keys = ends.map(|end| format!("{module}{end}"));
        let alpha = format!("{module}alpha");
        let lora = lora(&[&keys[0], &keys[1], &alpha], "{}").unwrap();
        assert_eq!(lora.components().into_iter().collect::<Vec<_>>(), [*component], "{module}");
        match lora.patches(component, &names, &ldm, 0.5) {
            // Alpha 4 of rank 1, times a half.
            Ok(patches) if patches.keys().eq([wanted]) && patches[*wanted][0].scale() == 2.0 => {}
            got => wrong.push(format!("{module}: want {wanted}, got {got:?}")),
        }
        assert!(lora.patches("vae", &names, &ldm, 1.0).unwrap().is_empty());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn layers_that_do_not_exist_are_named() {
    let names = ["conv_in.weight", "a.b_c.weight", "a_b.c.weight"];
    let keys = |layers: &[&str]| -> Vec<String> {
        let ends = ["lora_down.weight", "lora_up.weight"];
        layers.iter().flat_map(|l| ends.map(|end| format!("lora_unet_{l}.{end}"))).collect()
    };
    let find = |layers: &[&str]| {
        let keys = keys(layers);
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        lora(&keys, "{}").unwrap().patches("unet", &names, &[], 1.0).unwrap_err()
    };
    for (layers, message) in [
        (
            &["conv_in", "conv_out"][..],
            "l: expected layers of unet, got 1 of 2 that it lacks: lora_unet_conv_out.lora_down.weight",
        ),
        (
            &["conv_out", "x", "y", "z"],
            "l: this LoRA is for another model family: none of its 4 layers of unet exists here; \
             it has lora_unet_conv_out.lora_down.weight, lora_unet_x.lora_down.weight, \
             lora_unet_y.lora_down.weight",
        ),
        (&["a_b_c"], "l: a_b_c: expected one layer, got a.b_c.weight and a_b.c.weight"),
    ] {
        let error = find(layers);
        assert_eq!((error.kind(), &*error.to_string()), (ErrorKind::Weights, message));
    }
}

#[test]
fn what_is_no_lora_is_refused() {
    use ErrorKind::*;
    let up = "lora_unet_a.lora_up.weight";
    let down = "lora_unet_a.lora_down.weight";
    for (keys, kind, message) in [
        (&["lora_unet_a.oft_blocks"][..], Unsupported, "got OFT or BOFT"),
        (&["unet.a.boft_R"], Unsupported, "got BOFT"),
        (&["lora_unet_a.a1.weight"], Unsupported, "got GLoRA"),
        (&["lora_unet_a.p_layer.weight"], Unsupported, "got T-LoRA"),
        (&["unet.a.ia3_l"], Unsupported, "got peft's (IA)³"),
        (&[up, down, "unet.a.lora_B.bias"], Unsupported, "got a LoRA with biases"),
        (&["bundle_emb.cat.string_to_param.*"], Unsupported, "got bundled textual inversions"),
        (&["conv_in.weight"], Weights, "conv_in.weight: expected a key of a LoRA"),
        (&[], Format, "expected a LoRA, got a file without tensors"),
        (&["lora_unet_a.hada_w1_a"], Weights, "got only lora_unet_a.hada_w1_a"),
        (&["lora_unet_a.lokr_w1"], Weights, "expected both factors lokr_w1 and lokr_w2, got one"),
        (&["lora_unet_a.weight"], Weights, "or (IA)³'s weight and on_input, got one"),
        (&[up, down, "lora_unet_a.diff"], Weights, "expected one method for a layer"),
        (
            &["lora_unet_a.diff", "lora_unet_a.dora_scale"],
            Unsupported,
            "expected DoRA with a LoRA, LoHa or LoKr, got a full difference",
        ),
        (&["unet.a.lora_magnitude_vector"], Weights, "got only unet.a.lora_magnitude_vector"),
        (
            &[up],
            Weights,
            "l: expected an up and a down matrix, got only lora_unet_a.lora_up.weight",
        ),
        (&["lora_unet_a.alpha"], Weights, "got only lora_unet_a.alpha"),
        (
            &["unet.a.lora_A.weight", "base_model.model.unet.a.lora_A.weight"],
            Weights,
            "expected one tensor for each matrix",
        ),
    ] {
        let error = lora(keys, "{}").err().unwrap();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(message), "{message}: {error}");
    }
    for shapes in
        [[&[2, 3][..], &[2, 2]], [&[2], &[1, 2]], [&[2, 1, 3, 3], &[1, 2]], [&[2, 0], &[0, 2]]]
    {
        let bytes = |shape: &[usize]| vec![0; 4 * shape.iter().product::<usize>()];
        let list =
            [(up, "F32", shapes[0], bytes(shapes[0])), (down, "F32", shapes[1], bytes(shapes[1]))];
        let error = Lora::from_bytes("l", tensors(&list, "{}")).err().unwrap();
        assert_eq!(error.kind(), Weights);
        assert!(error.to_string().contains("lora_up.weight: expected [O, r] or"), "{error}");
    }
    // Another version of the same family: the name exists, the shape does not.
    let mut weights = component("unet");
    let names: Vec<_> = weights.names().collect();
    let keys = ["lora_unet_conv_in.lora_down.weight", "lora_unet_conv_in.lora_up.weight"];
    let patches = lora(&keys, "{}").unwrap().patches("unet", &names, &[], 1.0).unwrap();
    let error = weights.set_patches(patches).unwrap_err();
    assert!(
        error.to_string().contains("conv_in.weight: expected a patch for a weight of"),
        "{error}"
    );
}

#[test]
fn the_scale_is_alpha_over_rank() {
    let keys = ["unet.a.lora_A.weight", "unet.a.lora_B.weight"];
    let scale = |config: &str| {
        let text = serde_json::to_string(config).unwrap();
        let lora = lora(&keys, &format!(r#"{{"lora_adapter_metadata":{text}}}"#))?;
        Ok::<_, croquis::Error>(
            lora.patches("unet", &["a.weight"], &[], 1.0)?["a.weight"][0].scale(),
        )
    };
    assert_eq!(scale(r#"{"text_encoder.lora_alpha": 3}"#).unwrap(), 1.0);
    assert_eq!(scale(r#"{"unet.lora_alpha": 3}"#).unwrap(), 3.0);
    let pattern =
        |key: &str| format!(r#"{{"unet.lora_alpha": 3, "unet.alpha_pattern": {{"{key}": 5}}}}"#);
    assert_eq!(scale(&pattern("a")).unwrap(), 5.0);
    assert_eq!(scale(&pattern("^a")).unwrap(), 5.0);
    assert_eq!(scale(&pattern("b")).unwrap(), 3.0);
    assert_eq!(scale(&pattern(".*")).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(scale("[]").unwrap_err().kind(), ErrorKind::Format);
    assert_eq!(scale(r#"{"unet.r": 3}"#).unwrap_err().kind(), ErrorKind::Format);

    // peft's own folders have the configuration beside the weights.
    let folder = std::env::temp_dir().join(format!("croquis-lora-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("adapter_model.safetensors");
    let rank: Vec<u8> = vec![0; 4 * 2 * 4];
    let list = [
        ("base_model.model.a.lora_A.weight", "F32", &[4, 2][..], rank.clone()),
        ("base_model.model.a.lora_B.weight", "F32", &[2, 4][..], rank),
    ];
    std::fs::write(&path, tensors(&list, "{}")).unwrap();
    std::fs::write(folder.join("adapter_config.json"), r#"{"lora_alpha": 8, "use_rslora": true}"#)
        .unwrap();
    let lora = Lora::open(&path);
    std::fs::remove_dir_all(&folder).unwrap();
    let patches = lora.unwrap().patches("unet", &["a.weight"], &[], 1.0).unwrap();
    assert_eq!(patches["a.weight"][0].scale(), 4.0);
}

#[test]
fn damaged_files_never_panic() {
    let weights = component("unet");
    let names: Vec<_> = weights.names().collect();
    let mut random = Random(0x10ad);
    let (mut opened, mut refused) = (0, 0);
    for file in ["peft", "lycoris/loha-tucker", "lycoris/loha-dora", "lycoris/lokr", "lycoris/full"]
    {
        let good = std::fs::read(golden(&format!("lora/{file}.safetensors"))).unwrap();
        let header = u64::from_le_bytes(good[..8].try_into().unwrap()) as usize + 8;
        fuzz::rounds(3_000, || {
            let Ok(lora) = Lora::from_bytes("l", fuzz::mutated(&good, header, &mut random)) else {
                refused += 1;
                return;
            };
            opened += 1;
            let Ok(patches) = lora.patches("unet", &names, &[], 1.0) else { return };
            let (mut patched, names) =
                (weights.clone(), patches.keys().cloned().collect::<Vec<_>>());
            if patched.set_patches(patches).is_ok() {
                names.iter().for_each(|name| drop(patched.read_f32(name)));
            }
        });
    }
    assert!(opened > 100 && refused > 500, "{opened} opened, {refused} refused");
}
