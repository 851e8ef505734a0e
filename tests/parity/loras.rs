//! A whole UNet changed by LyCORIS' methods and by peft's, against the UNet with their own modules
//! in it (`tests/golden/make_lycoris.py`).

use crate::unets::{CONTEXT, Inputs, UnetCase, network, open_weights, timestep};
use crate::{bytes, common, path};
use croquis::internal::lora::Lora;
use safetensors::SafeTensors;

#[test]
fn unets_changed_by_every_method() {
    let (folder, loras) = ("tests/golden/sd1-tiny", "tests/golden/lora/lycoris");
    let (file, changed) = (
        bytes(&format!("{folder}/golden.safetensors")),
        bytes(&format!("{loras}/golden.safetensors")),
    );
    let golden = SafeTensors::deserialize(&file).unwrap();
    let changed = SafeTensors::deserialize(&changed).unwrap();
    let (_, plain) = common::golden(&golden, "unet.conv_out");
    let names: Vec<_> = changed.names().into_iter().filter(|n| n.ends_with(".conv_out")).collect();
    assert_eq!(names.len(), 16);
    for name in names {
        let (_, output) = common::golden(&changed, name);
        let change = common::relative_l2(&output, &plain);
        assert!(change > 0.05, "{name}: the change is seen: {change}");
        let kind = name.trim_end_matches(".conv_out");
        let file = match kind.starts_with("peft") {
            true => format!("{loras}/{kind}/adapter_model.safetensors"),
            false => format!("{loras}/{kind}.safetensors"),
        };
        let mut weights = open_weights(folder);
        let layers: Vec<_> = weights.names().collect();
        let patches = Lora::open(path(&file)).unwrap().patches("unet", &layers, &[], 1.0).unwrap();
        weights.set_patches(patches).unwrap();
        let network = network(folder);
        let inputs =
            Inputs { sample: "unet.sample", context: CONTEXT, timestep: timestep(folder, "unet") };
        UnetCase::new(&golden, &weights, &network, inputs).check_last(&changed, name);
    }
}
