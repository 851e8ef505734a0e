//! The whole pipeline within the limits of other devices than this machine's.

use crate::{bytes, common, emoji};
use croquis::Storage;
use croquis::diffusion::{Diffusion, Model, Request, Tiling};
use croquis::files::ModelFiles;
use croquis::gpu::LimitProfile;
use croquis::internal::kernels::{DeviceClass, Target};
use safetensors::SafeTensors;

fn check(storage: Storage, limits: LimitProfile, class: Option<DeviceClass>) {
    let file = bytes("models/emoji-64/golden/golden.safetensors");
    let golden = SafeTensors::deserialize(&file).unwrap();
    let request = emoji::golden_request(&golden);
    for adapter in common::adapters() {
        let gpu = common::limited(adapter, storage, limits).unwrap();
        if let Some(class) = class {
            assert_eq!(gpu.target().class, class);
        }
        assert_eq!(gpu.target().max_binding_bytes, 128 << 20);
        let problems = emoji::check(&gpu, &golden, &request);
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
}

#[test]
fn within_the_default_limits_of_webgpu() {
    check(Storage::F32, LimitProfile::WebGpu, Some(DeviceClass::Portable));
}

#[test]
fn within_the_limits_of_adreno_with_packed_storage() {
    check(Storage::Packed, LimitProfile::Adreno, Some(DeviceClass::Adreno));
}

#[test]
fn a_device_without_native_halves_refuses_f16() {
    let refused = common::limited(common::adapters()[0], Storage::F16, LimitProfile::WebGpu);
    let error = refused.err().expect("f16 was not asked for");
    assert_eq!(error.kind(), croquis::ErrorKind::Unsupported);
    assert!(error.to_string().contains("packed or f32"), "{error}");
}

#[test]
fn a_picture_that_cannot_be_decoded_is_refused_before_the_first_step() {
    let gpu = common::limited(common::adapters()[0], Storage::F32, LimitProfile::WebGpu).unwrap();
    let mut diffusion = Diffusion::open(&gpu, &ModelFiles::embedded()).unwrap();
    let request = Request::new("a red apple").size(1184, 1192);
    let refused = |diffusion: &mut Diffusion, expected: &[&str]| {
        let error = gpu.block_on(diffusion.start(&request)).err().expect("it does not fit");
        assert_eq!(error.kind(), croquis::ErrorKind::Memory);
        let message = error.to_string();
        assert!(expected.iter().all(|part| message.contains(part)), "{message}");
    };
    diffusion.set_tiling(Tiling::Never).unwrap();
    refused(&mut diffusion, &["vae.decoder"]);
    // Nor does it where not even the smallest tiles fit.
    diffusion.set_tiling(Tiling::Auto).unwrap();
    diffusion.set_codec_budget(Some(10_000));
    refused(&mut diffusion, &["not even tiles of 128x128 pixels fit", "10000 allowed"]);
}

#[test]
fn a_picture_that_cannot_be_decoded_whole_is_planned_in_tiles() {
    let mut model = Model::open(&ModelFiles::embedded()).unwrap();
    let request = Request::new("a red apple").size(1184, 1192);
    let decoder = |model: &Model| {
        let plans = model.plans(&request, &Target::webgpu(Storage::F32)).unwrap();
        let (_, decoder) = plans.into_iter().find(|(name, _)| *name == "decoder").unwrap();
        decoder.inputs[0].tensor.shape.dims().to_vec()
    };
    // 149x148 latents: two tiles of the whole width, which share 23 rows.
    assert_eq!(decoder(&model), [1, 86, 148, 8]);
    model.set_tiling(Tiling::Always(512)).unwrap();
    assert_eq!(decoder(&model), [1, 60, 60, 8]);
    model.set_tiling(Tiling::Never).unwrap();
    let error = model.plans(&request, &Target::webgpu(Storage::F32)).err().unwrap();
    assert_eq!(error.kind(), croquis::ErrorKind::Memory);
    let error = model.set_tiling(Tiling::Always(15)).err().unwrap();
    assert_eq!(error.kind(), croquis::ErrorKind::Argument);
}
