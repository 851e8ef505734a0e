//! LoRA files for Stable Diffusion XL: kohya uses the original names for the UNet's layers, peft
//! those of diffusers.

use crate::parts::{original, project};
use croquis::files::checkpoint::UnetLayout;
use croquis::internal::lora::{Lora, Patches};
use croquis::internal::random::Generator;
use croquis::internal::weights::Weights;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

const COMPONENTS: [(&str, &str); 3] =
    [("unet", "lora_unet"), ("text_encoder", "lora_te1"), ("text_encoder_2", "lora_te2")];

fn weights(component: &str) -> Weights {
    let stem = if component == "unet" { "diffusion_pytorch_model" } else { "model" };
    let file = project(&format!("sdxl-tiny/{component}/{stem}.safetensors"));
    Weights::open(file).and_then(|w| w.without_prefix("text_model.")).expect(component)
}

/// The prefixes of a component's blocks in both layouts; text encoders have one layout.
fn blocks(component: &str, weights: &Weights) -> Vec<(String, String)> {
    match component {
        "unet" => UnetLayout::from_diffusers(weights.names()).block_names(),
        _ => Vec::new(),
    }
}

/// A LoRA of rank 2 that changes every linear layer and convolution of all components. `name` makes
/// a tensor's key from component, layer and matrix.
fn lora(name: impl Fn(&str, &str, &str) -> String) -> Lora {
    let mut generator = Generator::new(5);
    let mut tensors = Vec::new();
    for (component, _) in COMPONENTS {
        let weights = weights(component);
        for weight in weights.names().filter(|name| !name.contains("embeddings.")) {
            let (Some(layer), [outputs, inputs, window @ ..]) =
                (weight.strip_suffix(".weight"), weights.shape(weight).expect(weight))
            else {
                continue;
            };
            let up = [&[*outputs, 2][..], &vec![1; window.len()]].concat();
            let down = [&[2, *inputs][..], window].concat();
            for (matrix, shape) in [("up", up), ("down", down)] {
                let values = generator.normal(shape.iter().product());
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                tensors.push((name(component, layer, matrix), shape, bytes));
            }
        }
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect(name))
    });
    Lora::from_bytes("lora", safetensors::serialize(views, None).expect("a file")).expect("a LoRA")
}

#[test]
fn kohyas_names_change_what_diffusers_names_change() {
    let unet = weights("unet");
    let unet_blocks = blocks("unet", &unet);
    let kohya = |swap: bool| {
        let unet_blocks = &unet_blocks;
        lora(move |component, layer, matrix| {
            let prefix = COMPONENTS.iter().find(|(name, _)| *name == component).expect(component).1;
            let layer = match component {
                "unet" => original(unet_blocks, &format!("{layer}.weight")).replace(".weight", ""),
                _ => format!("text_model.{layer}"),
            };
            // Queries and keys of self-attention have one shape.
            let layer = match layer.rsplit_once("attn1.to_") {
                Some((rest, "q")) if swap => format!("{rest}attn1.to_k"),
                Some((rest, "k")) if swap => format!("{rest}attn1.to_q"),
                _ => layer,
            };
            format!("{prefix}_{}.lora_{matrix}.weight", layer.replace('.', "_"))
        })
    };
    let diffusers = lora(|component, layer, matrix| {
        let matrix = if matrix == "up" { "lora_B" } else { "lora_A" };
        format!("{component}.{layer}.{matrix}.weight")
    });
    let patched = |lora: &Lora, component: &str, weight: f32| -> (Patches, Weights) {
        let mut weights = weights(component);
        let names: Vec<_> = weights.names().collect();
        let ldm = blocks(component, &weights);
        let patches = lora.patches(component, &names, &ldm, weight).expect(component);
        weights.set_patches(patches.clone()).expect(component);
        (patches, weights)
    };
    let kohyas = kohya(false);
    assert_eq!(kohyas.components().len(), 3);
    for (component, _) in COMPONENTS {
        let ((ours, one), (theirs, other)) =
            (patched(&kohyas, component, 0.7), patched(&diffusers, component, 0.7));
        assert!(ours.keys().eq(theirs.keys()) && ours.len() > 10, "{component}: {}", ours.len());
        let plain = weights(component);
        for name in ours.keys() {
            let [one, other, plain] = [&one, &other, &plain].map(|w| w.read_f32(name).expect(name));
            assert!(one == other && one != plain, "{component}: {name}");
        }
    }
    // The comparison sees it if queries and keys are exchanged.
    let (_, wrong) = patched(&kohya(true), "unet", 0.7);
    let (patches, right) = patched(&diffusers, "unet", 0.7);
    let differs = |name: &&String| wrong.read_f32(name).ok() != right.read_f32(name).ok();
    assert!(patches.keys().filter(differs).all(|name| name.contains("attn1.to_")));
    assert!(patches.keys().any(|name| differs(&name)));
}
