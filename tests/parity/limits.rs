//! The whole pipeline within the limits of devices that are not here.

use crate::{bytes, common, emoji};
use croquis::diffusion::{Diffusion, ModelFiles, Request};
use croquis::gpu::LimitProfile;
use croquis::kernels::DeviceClass;
use croquis::shape::Storage;
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
    let error = gpu.block_on(diffusion.start(&request)).err().expect("it does not fit");
    assert_eq!(error.kind(), croquis::ErrorKind::Memory);
    assert!(error.to_string().contains("vae.decoder"), "{error}");
}
