//! Files that hold something else, or are damaged.

use crate::common;
use crate::golden::{Tensor, cases, file, picture};
use croquis::{ErrorKind, Upscaler};
use half::f16;

fn refused(bytes: Vec<u8>) -> (ErrorKind, String) {
    let gpu = &common::gpus()[0];
    let error = Upscaler::from_bytes(gpu, "x.safetensors", bytes).err().expect("a refusal");
    let message = error.to_string();
    assert!(message.starts_with("x.safetensors: "), "{message}");
    (error.kind(), message)
}

/// Tensors of one number under these names.
fn named(names: &[&str]) -> Vec<Tensor> {
    let tensor = |name: &&str| (name.to_string(), vec![1], vec![f16::ONE]);
    names.iter().map(tensor).collect()
}

#[test]
fn other_networks_are_refused_by_name() {
    let table = [
        (vec!["conv_first.weight", "layers.0.residual_group.blocks.0.norm1.weight"], "SwinIR"),
        (vec!["layers.0.residual_group.blocks.0.conv_block.cab.0.weight"], "HAT"),
        (vec!["conv_first.weight", "before_RG.1.weight"], "DAT"),
        (vec!["block_1.c1_r.sk.weight"], "SPAN"),
        (vec!["params.m_head.0.weight"], "SCUNet"),
        (vec!["model.diffusion_model.out.2.bias"], "a checkpoint of a diffusion model"),
        (vec!["decoder.conv_in.weight", "encoder.conv_in.weight"], "an autoencoder"),
        (vec!["lora_unet_mid.alpha"], "a LoRA file"),
        (vec!["something.weight"], "not known, with something.weight"),
        (vec!["body.0.weight"], "not known, with body.0.weight"),
    ];
    for (names, expected) in table {
        let (kind, message) = refused(file(&named(&names)));
        assert_eq!(kind, ErrorKind::Unsupported, "{message}");
        assert!(message.contains("expected an upscaler of ESRGAN's"), "{message}");
        assert!(message.contains(&format!("found {expected}")) || message.contains(expected));
    }
}

#[test]
fn pickles_and_damaged_files_are_refused() {
    let (kind, message) = refused(b"PK\x03\x04\0\0archive/data.pkl".to_vec());
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(message.contains("a PyTorch pickle"), "{message}");
    let whole = file(&cases()["compact-x1"].tensors());
    for bytes in [whole[..whole.len() - 5].to_vec(), whole[..20].to_vec(), Vec::new()] {
        assert_eq!(refused(bytes).0, ErrorKind::Format);
    }
}

#[test]
fn incomplete_files_and_wrong_shapes_are_refused_by_layer() {
    let change = |case: &str, change: &dyn Fn(&mut Vec<Tensor>)| {
        let mut tensors = cases()[case].tensors();
        change(&mut tensors);
        refused(file(&tensors))
    };
    let without = |name: &'static str| {
        move |tensors: &mut Vec<Tensor>| tensors.retain(|tensor| tensor.0 != name)
    };
    let shaped = |name: &'static str, shape: Vec<usize>| {
        move |tensors: &mut Vec<Tensor>| {
            let tensor = tensors.iter_mut().find(|tensor| tensor.0 == name).unwrap();
            tensor.2 = vec![f16::ONE; shape.iter().product()];
            tensor.1 = shape.clone();
        }
    };
    let (kind, message) = change("esrgan-x4", &without("body.0.rdb2.conv3.weight"));
    assert_eq!(kind, ErrorKind::Weights);
    assert!(message.contains("body.0.rdb2.conv3"), "{message}");
    let more = |tensors: &mut Vec<Tensor>| tensors.extend(named(&["body.0.rdb1.conv6.weight"]));
    let (kind, message) = change("esrgan-x4", &more);
    assert_eq!(kind, ErrorKind::Weights);
    assert!(message.contains("body.0.rdb1.conv6.weight"), "{message}");
    let (kind, message) = change("esrgan-x4", &shaped("conv_first.weight", vec![64, 1, 3, 3]));
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(message.contains("3 input channels (RGB)") && message.contains("got 1"), "{message}");
    let (kind, message) = change("esrgan-x4", &shaped("conv_last.weight", vec![1, 64, 3, 3]));
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(message.contains("3 output channels"), "{message}");
    let (kind, message) = change("compact-x4", &shaped("body.8.weight", vec![20, 24, 3, 3]));
    assert_eq!(kind, ErrorKind::Weights);
    assert!(message.contains("body.8.weight") && message.contains("got 20"), "{message}");
    let (kind, message) = change("compact-x4", &shaped("body.3.weight", vec![5]));
    assert_eq!(kind, ErrorKind::Weights);
    assert!(message.contains("body.3"), "{message}");
    let scalar = |tensors: &mut Vec<Tensor>| {
        let tensor = tensors.iter_mut().find(|tensor| tensor.0 == "body.0.weight").unwrap();
        (tensor.1, tensor.2) = (vec![], vec![f16::ONE]);
    };
    assert_eq!(change("compact-x4", &scalar).0, ErrorKind::Unsupported);
}

#[test]
fn weights_that_are_not_finite_are_refused() {
    let gpu = &common::gpus()[0];
    let mut tensors = cases()["compact-x1"].tensors();
    tensors[0].2[0] = f16::NAN;
    let mut upscaler = Upscaler::from_bytes(gpu, "x.safetensors", file(&tensors)).unwrap();
    let error = upscaler.upscale_blocking(&picture(4, 4, &[0.5; 48])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Weights);
    assert!(error.to_string().contains("body.0"), "{error}");
}
