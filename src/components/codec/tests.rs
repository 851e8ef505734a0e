//! The storage type of autoencoders, and the refusal of unusable configurations.

use super::{Autoencoder, Codec};
use crate::families::LatentSpace;
use crate::families::{sd1, sdxl};
use crate::kernels::Target;
use crate::shape::Storage;

fn codec(config: &str, latents: &'static LatentSpace) -> Codec {
    let mut header = br#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#.to_vec();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.append(&mut header);
    file.extend([0; 4]);
    let weights = crate::weights::Weights::from_bytes("vae", file).unwrap();
    Codec::new(latents, Autoencoder::from_parts("config.json", config, weights).unwrap())
}

#[test]
fn only_stable_diffusion_xl_is_kept_from_16_bits() {
    let silent = r#"{"block_out_channels": [8]}"#;
    let overflows = r#"{"block_out_channels": [8], "force_upcast": true}"#;
    let repaired = r#"{"block_out_channels": [8], "force_upcast": false}"#;
    let (sd1, xl) = (&sd1::FAMILY.latents, &sdxl::FAMILY.latents);
    let table = [
        (silent, sd1, Storage::F16),
        (overflows, sd1, Storage::F16),
        (silent, xl, Storage::F32),
        (overflows, xl, Storage::F32),
        (repaired, xl, Storage::F16),
    ];
    for (config, latents, expected) in table {
        let target = codec(config, latents).target(&Target::webgpu(Storage::F16));
        let overflows = latents.decoder_overflows_f16;
        assert_eq!(target.storage, expected, "{config} {overflows}");
    }
}

#[test]
fn configurations_that_cannot_be_used_are_refused_by_key() {
    let weights = codec(r#"{"block_out_channels": [8]}"#, &sd1::FAMILY.latents).component.weights;
    let table = [
        (r#"{"_class_name": "VQModel"}"#, "_class_name"),
        (r#"{"block_out_channels": [8], "latents_mean": [1.0]}"#, "latents_mean"),
        (r#"{"block_out_channels": [8], "latents_std": [1, 1, 0, 1]}"#, "latents_std"),
        (r#"{"block_out_channels": [8], "scaling_factor": 0.0}"#, "scaling_factor"),
        (r#"{"_class_name": "AutoencoderTiny", "act_fn": "silu"}"#, "act_fn"),
        (r#"{"_class_name": "AutoencoderTiny", "num_decoder_blocks": []}"#, "num_decoder"),
        (r#"{"_class_name": "AutoencoderTiny"}"#, "tiny autoencoder"),
    ];
    for (config, expected) in table {
        let refused = Autoencoder::from_parts("config.json", config, weights.clone());
        let message = refused.err().expect(config).to_string();
        assert!(message.contains(expected), "{config}: {message}");
    }
}
