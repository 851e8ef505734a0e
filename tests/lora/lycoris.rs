//! LyCORIS' methods and peft's DoRA, LoHa and LoKr against the weights that LyCORIS and peft make of
//! them (`tests/golden/make_lycoris.py`).

use croquis::error::ErrorKind;
use croquis::internal::lora::{Lora, Patches};
use croquis::internal::weights::Weights;

use crate::files::tensors;
use crate::{component, golden, patches};

/// The kinds of `make_lycoris.py`, and the number of weights and biases that each changes.
const KINDS: [(&str, usize); 16] = [
    ("locon-tucker", 3),
    ("loha", 3),
    ("loha-tucker", 3),
    ("lokr", 3),
    ("lokr-both", 3),
    ("lokr-tucker", 3),
    ("lokr-full", 3),
    ("dora", 3),
    ("dora-inputs", 3),
    ("loha-dora", 3),
    ("full", 6),
    ("ia3", 3),
    ("ia3-inputs", 3),
    ("peft-dora", 3),
    ("peft-loha", 3),
    ("peft-lokr", 3),
];

fn open(kind: &str) -> Lora {
    let file = match kind.starts_with("peft") {
        true => format!("lora/lycoris/{kind}/adapter_model.safetensors"),
        false => format!("lora/lycoris/{kind}.safetensors"),
    };
    Lora::open(golden(&file)).unwrap()
}

/// The largest difference of a kind's golden tensors from the weights, relative to the largest
/// value of each, and their number.
fn farthest(goldens: &Weights, prefix: &str, weights: &Weights) -> (f32, usize) {
    let names: Vec<_> = goldens.names().filter(|name| name.starts_with(prefix)).collect();
    let far = names.iter().map(|name| {
        let wanted = goldens.read_f32(name).unwrap();
        let got = weights.read_f32(&name[prefix.len()..]).unwrap();
        let largest = wanted.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        wanted.iter().zip(&got).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest
    });
    (far.fold(0.0, f32::max), names.len())
}

#[test]
fn every_method_changes_weights_as_its_package_does() {
    let goldens = Weights::open(golden("lora/lycoris/golden.safetensors")).unwrap();
    for (kind, changed) in KINDS {
        let lora = open(kind);
        for (which, weight, compared) in [("merged", 1.0, 2), ("part", 0.6, 1)] {
            let mut weights = component("unet");
            let patches = patches(&lora, "unet", &weights, weight);
            assert_eq!(patches.len(), changed, "{kind}");
            weights.set_patches(patches).unwrap();
            let (far, count) = farthest(&goldens, &format!("{kind}.{which}."), &weights);
            println!("{kind} {which}: {far:.1e}");
            // The bias of a layer and of norms beside the weights.
            assert_eq!(count, if kind == "full" { 4 } else { compared }, "{kind}");
            assert!(far < 2e-6, "{kind} {which}: {far}");
        }
        // The comparison sees another weight, and weights that are not changed.
        for weight in [0.0, 0.9] {
            let mut weights = component("unet");
            weights.set_patches(patches(&lora, "unet", &weights, weight)).unwrap();
            let (far, _) = farthest(&goldens, &format!("{kind}.merged."), &weights);
            assert!(far > 1e-3, "{kind}: {far}");
        }
    }
}

#[test]
fn weight_zero_changes_nothing_but_where_peft_does() {
    let plain = component("unet");
    for (kind, _) in KINDS.into_iter().filter(|(kind, _)| *kind != "peft-dora") {
        let mut weights = plain.clone();
        let patches = patches(&open(kind), "unet", &weights, 0.0);
        let names: Vec<_> = patches.keys().cloned().collect();
        weights.set_patches(patches).unwrap();
        for name in names {
            assert_eq!(weights.read_f32(&name).unwrap(), plain.read_f32(&name).unwrap(), "{kind}");
        }
    }
}

#[test]
fn patches_that_depend_on_the_weight_apply_in_order() {
    let read = |kinds: [&str; 2]| {
        let mut weights = component("unet");
        let each = kinds.map(|kind| patches(&open(kind), "unet", &weights, 1.0));
        weights.set_patches(croquis::internal::lora::sum(each)).unwrap();
        weights.read_f32("conv_in.weight").unwrap()
    };
    // The norms of the second are those of the weight after the first.
    let mut weights = component("unet");
    weights.set_patches(patches(&open("lokr"), "unet", &weights, 1.0)).unwrap();
    let shape = weights.shape("conv_in.weight").unwrap().to_vec();
    let first = weights.read_f32("conv_in.weight").unwrap();
    let first = [("conv_in.weight".to_string(), (shape, first))].into();
    let mut once = Weights::from_f32(&first).unwrap();
    let lora = open("dora");
    let names: Vec<_> = weights.names().collect();
    let mut second = lora.patches("unet", &names, &[], 1.0).unwrap();
    second.retain(|name, _| name == "conv_in.weight");
    once.set_patches(second).unwrap();
    assert_eq!(read(["lokr", "dora"]), once.read_f32("conv_in.weight").unwrap());
    assert_ne!(read(["dora", "lokr"]), read(["lokr", "dora"]));
}

/// A file of f32 tensors of ones.
fn ones(list: &[(&str, &[usize])]) -> croquis::Result<Lora> {
    let bytes = |shape: &[usize]| 1f32.to_le_bytes().repeat(shape.iter().product());
    let list: Vec<_> =
        list.iter().map(|(name, shape)| (*name, "F32", *shape, bytes(shape))).collect();
    Lora::from_bytes("l", tensors(&list, "{}"))
}

#[test]
fn scales_are_alpha_over_rank() {
    let scale = |list: &[(&str, &[usize])]| {
        let lora = ones(list).unwrap();
        lora.patches("unet", &["a.weight"], &[], 0.5).unwrap()["a.weight"][0].scale()
    };
    let alpha = ("lora_unet_a.alpha", &[][..]);
    let hada: [(&str, &[usize]); 4] = [
        ("lora_unet_a.hada_w1_a", &[2, 4]),
        ("lora_unet_a.hada_w1_b", &[4, 2]),
        ("lora_unet_a.hada_w2_a", &[2, 4]),
        ("lora_unet_a.hada_w2_b", &[4, 2]),
    ];
    assert_eq!(scale(&hada), 0.5);
    assert_eq!(scale(&[&hada[..], &[alpha]].concat()), 0.125);
    // An alpha has no effect where no factor has a rank.
    let lokr: [(&str, &[usize]); 2] =
        [("lora_unet_a.lokr_w1", &[2, 1]), ("lora_unet_a.lokr_w2", &[1, 2])];
    assert_eq!(scale(&[&lokr[..], &[alpha]].concat()), 0.5);
}

#[test]
fn names_of_lycoris_are_of_the_unet_or_of_a_text_encoder() {
    for (key, component, layer) in [
        ("lycoris_a_b.diff", "unet", "a.b.weight"),
        (
            "lycoris_text_model_encoder_layers_0_fc.diff",
            "text_encoder",
            "encoder.layers.0.fc.weight",
        ),
        ("lycoris_encoder_layers_0_fc.diff", "text_encoder", "encoder.layers.0.fc.weight"),
        ("base_model.model.encoder.layers.0.fc.diff", "text_encoder", "encoder.layers.0.fc.weight"),
        ("lora_te2_text_model_a_b.diff", "text_encoder_2", "a.b.weight"),
    ] {
        let lora = ones(&[(key, &[2, 2])]).unwrap();
        let patches = lora.patches(component, &[layer], &[], 1.0).unwrap();
        assert!(patches.keys().eq([layer]), "{key}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    type Case<'a> = (&'a [(&'a str, &'a [usize])], ErrorKind, &'a str);
    let cases: [Case; 7] = [
        (
            &[("lora_unet_a.diff_b", &[2])],
            ErrorKind::Unsupported,
            "l: lora_unet_a.diff_b: expected a layer with a bias",
        ),
        (
            &[
                ("lora_unet_a.lora_up.weight", &[2, 3]),
                ("lora_unet_a.lora_down.weight", &[3, 2]),
                ("lora_unet_a.dora_scale", &[3, 1]),
            ],
            ErrorKind::Weights,
            "expected a magnitude for each of 2 outputs or each input, got [3, 1]",
        ),
        (
            &[
                ("lora_unet_a.lora_up.weight", &[2, 3]),
                ("lora_unet_a.lora_down.weight", &[3, 2]),
                ("lora_unet_a.lora_mid.weight", &[3, 2, 3, 3]),
            ],
            ErrorKind::Weights,
            "lora_unet_a.lora_mid.weight: expected [r, r, kh, kw] between [O, r] and [r, I], got \
             [3, 2, 3, 3]",
        ),
        (
            &[
                ("lora_unet_a.hada_w1_a", &[2, 3]),
                ("lora_unet_a.hada_w1_b", &[3, 2]),
                ("lora_unet_a.hada_w2_a", &[2, 3]),
                ("lora_unet_a.hada_w2_b", &[3, 4]),
            ],
            ErrorKind::Weights,
            "a.weight: expected a patch for a weight of shape [2, 2], got one of no shape",
        ),
        (
            &[("lora_unet_a.lokr_w1", &[2, 2]), ("lora_unet_a.lokr_w2", &[2, 1])],
            ErrorKind::Weights,
            "a.weight: expected a patch for a weight of shape [2, 2], got one of [4, 2]",
        ),
        (
            &[("lora_unet_a.weight", &[3]), ("lora_unet_a.on_input", &[])],
            ErrorKind::Weights,
            "a.weight: expected a patch for a weight of shape [2, 2], got one of 3 inputs",
        ),
        (
            &[("lora_unet_a.diff", &[2, 3])],
            ErrorKind::Weights,
            "a.weight: expected a patch for a weight of shape [2, 2], got one of [2, 3]",
        ),
    ];
    for (list, kind, message) in cases {
        let patches = ones(list).and_then(|lora| lora.patches("unet", &["a.weight"], &[], 1.0));
        let set = |patches: Patches| {
            let weight = [("a.weight".to_string(), (vec![2, 2], vec![1.0; 4]))].into();
            Weights::from_f32(&weight)?.set_patches(patches)
        };
        let error = patches.and_then(set).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(message), "{message}: {error}");
    }
}
