//! Networks of single files with inferred configurations, against diffusers with the same weights
//! and the right configurations. Whole runs of such files are in `tests/checkpoints/golden.rs`.

use crate::blocks::{check_everywhere, run};
use crate::unets::{CONTEXT, Inputs, UnetCase};
use crate::{bytes, common, json, path};
use croquis::files::checkpoint::Checkpoint;
use croquis::internal::graph::passes::fuse;
use croquis::internal::graph::{Builder, Scope};
use croquis::internal::models::autoencoder::{AutoencoderConfig, decode, encode};
use croquis::internal::models::parse_config;
use croquis::internal::models::unet::UnetConfig;
use croquis::internal::models::unet_network::UnetNetwork;
use croquis::internal::shape::TensorType;
use croquis::internal::weights::Weights;
use safetensors::SafeTensors;

const FOLDER: &str = "tests/golden/single";

fn checkpoint(file: &str) -> Checkpoint {
    Checkpoint::new(file, Weights::open(path(&format!("{FOLDER}/{file}"))).unwrap()).unwrap()
}

fn text<'c>(checkpoint: &'c Checkpoint, file: &str) -> &'c str {
    std::str::from_utf8(&checkpoint.texts[file]).unwrap()
}

/// The GGUF layouts of stable-diffusion.cpp and ComfyUI-GGUF.
#[test]
fn unets_of_quantised_files() {
    let file = bytes(&format!("{FOLDER}/gguf.golden.safetensors"));
    let golden = SafeTensors::deserialize(&file).unwrap();
    let description = json(&format!("{FOLDER}/gguf.golden.json"));
    for kind in ["q8_0", "q4_0"] {
        let checkpoint = checkpoint(description[kind]["file"].as_str().unwrap());
        let config = text(&checkpoint, "unet/config.json");
        let config: UnetConfig = parse_config("unet/config.json", config).unwrap();
        let network = UnetNetwork::new(&config).unwrap();
        let timestep = description[kind]["timestep"].as_f64().unwrap() as f32;
        let inputs = Inputs { sample: "unet.sample", context: CONTEXT, timestep };
        let case = UnetCase::new(&golden, &checkpoint.weights["unet"], &network, inputs);
        case.check_last(&golden, &format!("{kind}.unet.conv_out"));
    }
}

#[test]
fn autoencoders_of_single_files_both_ways() {
    for model in ["sd1", "sd2", "sdxl"] {
        let file = bytes(&format!("{FOLDER}/{model}.golden.safetensors"));
        let golden = SafeTensors::deserialize(&file).unwrap();
        let checkpoint = checkpoint(&format!("{model}.safetensors"));
        let weights = &checkpoint.weights["vae"];
        let config = text(&checkpoint, "vae/config.json");
        let config: AutoencoderConfig = parse_config("vae/config.json", config).unwrap();
        for (input, output) in [
            ("vae.decoder.latents", "vae.decoder.conv_out"),
            ("vae.encoder.image", "vae.quant_conv"),
        ] {
            let (shape, values) = common::golden(&golden, input);
            let builder = Builder::new();
            let m = Scope::new(&builder, "vae", weights);
            let tensor = TensorType::real([shape[0], shape[2], shape[3], shape[1]]);
            let tensor = builder.input("in", tensor);
            match output {
                "vae.quant_conv" => encode(&m, &config, tensor),
                _ => decode(&m, &config, tensor),
            };
            let mut graph = fuse(builder.finish_with_taps().unwrap());
            graph.outputs.retain(|(name, _)| name == output);
            assert_eq!(graph.outputs.len(), 1, "{output}");
            let values = common::nhwc(&shape, &values);
            check_everywhere(&golden, |gpu| run(gpu, weights, &graph, &[("in", &values)]));
        }
    }
}
