//! Several ControlNets at once, against diffusers' `MultiControlNetModel`.

use crate::runs::{check, picture, request, with_scheduler};
use crate::{bytes, common, json, path};
use croquis::diffusion::{Control, ControlNet, Diffusion, Request};
use croquis::files::ModelFiles;
use croquis::picture::Picture;
use croquis::{Error, ErrorKind, Storage};
use safetensors::SafeTensors;
use safetensors::tensor::{TensorView, serialize};
use serde_json::Value;

const FOLDER: &str = "tests/golden/controlnet-tiny";

fn first() -> ControlNet {
    let files = ModelFiles::open(path(&format!("{FOLDER}/controlnet"))).unwrap();
    ControlNet::open(&files).unwrap()
}

/// The second network of the golden runs: the first that sees its picture with the opposite sign.
fn second() -> ControlNet {
    let file = bytes(&format!("{FOLDER}/controlnet/diffusion_pytorch_model.safetensors"));
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let negated = |name: &str, view: &TensorView<'_>| {
        let mut data = view.data().to_vec();
        if name == "controlnet_cond_embedding.conv_out.weight" {
            data.chunks_exact_mut(2).for_each(|half| half[1] ^= 0x80);
        }
        data
    };
    let data: Vec<_> =
        tensors.iter().map(|(name, view)| (name, negated(name, &view), view)).collect();
    let views = data.iter().map(|(name, data, view)| {
        (*name, TensorView::new(view.dtype(), view.shape().to_vec(), data).unwrap())
    });
    let config = bytes(&format!("{FOLDER}/controlnet/config.json"));
    let files = [
        ("config.json".to_string(), config.into()),
        ("diffusion_pytorch_model.safetensors".to_string(), serialize(views, None).unwrap().into()),
    ];
    ControlNet::open(&ModelFiles::memory("second", files)).unwrap()
}

/// The request of a golden run with its control pictures.
fn steered(golden: &SafeTensors<'_>, run: &Value) -> Request {
    let number = |key: &str, index: usize, default| run[key][index].as_f64().unwrap_or(default);
    let mut request = request(run);
    for (index, name) in ["control.input", "several.input"].into_iter().enumerate() {
        request = request.control(Control {
            picture: picture(golden, name, [-1.0, 1.0]),
            scale: number("controlnet_conditioning_scale", index, 1.0) as f32,
            start: number("control_guidance_start", index, 0.0),
            end: number("control_guidance_end", index, 1.0),
        });
    }
    request
}

#[test]
fn two_controlnets_with_pictures_and_scales_of_their_own() {
    let file = bytes(&format!("{FOLDER}/golden.safetensors"));
    let golden = SafeTensors::deserialize(&file).unwrap();
    let description = json(&format!("{FOLDER}/golden.json"));
    for name in ["several.euler", "several.euler_part"] {
        let run = &description["runs"][name];
        let request = steered(&golden, run);
        for gpu in common::gpus() {
            let files = with_scheduler("controlnet-tiny")(run);
            let mut diffusion = Diffusion::open(gpu, &files).unwrap();
            diffusion.set_controlnets(vec![first(), second()]).unwrap();
            let problem = check(&mut diffusion, &golden, name, &request);
            assert_eq!(problem, None, "{}", common::name(gpu));

            // Pictures, scales and networks in the other order are another picture, if only by less
            // than 16-bit storage rounds.
            if gpu.target().storage != Storage::F32 {
                continue;
            }
            let mut swapped = request.clone();
            swapped.controls.reverse();
            assert!(check(&mut diffusion, &golden, name, &swapped).is_some());
            diffusion.set_controlnets(vec![second(), first()]).unwrap();
            assert!(check(&mut diffusion, &golden, name, &request).is_some());
        }
    }
}

#[test]
fn pictures_and_controlnets_are_as_many() {
    let run = &json(&format!("{FOLDER}/golden.json"))["runs"]["several.euler"];
    let gpu = &common::gpus()[0];
    let mut diffusion = Diffusion::open(gpu, &with_scheduler("controlnet-tiny")(run)).unwrap();
    let control =
        |side: usize| Control::new(Picture::new(side, side, vec![9; side * side * 3]).unwrap());
    let one = Request::new("a").steps(1).control(control(64));
    let message = |diffusion: &Diffusion, request: &Request| -> String {
        let error: Error = diffusion.model().check(request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument);
        error.to_string()
    };
    assert!(message(&diffusion, &one).contains("no ControlNet was loaded"));
    diffusion.set_controlnets(vec![first(), second()]).unwrap();
    assert!(message(&diffusion, &one).contains("expected 2, one for each ControlNet, got 1"));
    let other_size = one.clone().control(control(32));
    assert!(message(&diffusion, &other_size).contains("64x64 pixels, got 32x32"));
    let two = one.clone().control(control(64));
    diffusion.model().check(&two).unwrap();
    diffusion.model().check(&Request::new("a")).unwrap();

    // One ControlNet after two is as if there had been one only.
    diffusion.set_controlnets(vec![first()]).unwrap();
    let again = diffusion.generate_blocking(&one).unwrap().latents;
    let mut fresh = Diffusion::open(gpu, &with_scheduler("controlnet-tiny")(run)).unwrap();
    fresh.set_controlnets(vec![first()]).unwrap();
    assert_eq!(again, fresh.generate_blocking(&one).unwrap().latents);

    let nine = std::iter::repeat_with(first).take(9).collect();
    let error = diffusion.set_controlnets(nine).unwrap_err();
    assert!(error.to_string().contains("expected at most 8, got 9"), "{error}");
}
