//! A caller's device that is lost: every call gives an error of kind `Device`, none panics or hangs,
//! and the model goes on with another device. The device has no error handlers, so that an error that
//! croquis does not catch panics.

use croquis::diffusion::{Diffusion, Generated, Request};
use croquis::gpu::{Gpu, wgpu};
use croquis::picture::Picture;
use croquis::{ErrorKind, ModelFiles, Result, Storage};
use std::ops::ControlFlow;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A caller's device on an adapter, within its limits.
fn device(adapter: &wgpu::Adapter) -> (wgpu::Device, wgpu::Queue) {
    let descriptor =
        wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..Default::default() };
    pollster::block_on(adapter.request_device(&descriptor)).expect("the device opens")
}

fn adapters() -> Vec<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL;
    let adapters = pollster::block_on(
        wgpu::Instance::new(descriptor).enumerate_adapters(wgpu::Backends::all()),
    );
    assert!(!adapters.is_empty(), "no adapter: install a Vulkan driver (./x test does)");
    adapters
}

/// A model on a new device of an adapter.
fn open(adapter: &wgpu::Adapter) -> (wgpu::Device, Diffusion) {
    let (device, queue) = device(adapter);
    let gpu = Gpu::from_device(device.clone(), queue, Some(Storage::F32)).expect("f32 works");
    let files = ModelFiles::folder(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/sd1-tiny"))
        .expect("the folder");
    (device, Diffusion::open(&gpu, &files).expect("the model"))
}

fn request() -> Request {
    Request::new("a red apple").size(64, 64).steps(3).seed(3)
}

fn is_device<T>(result: Result<T>, when: &str) {
    let error = result.err().unwrap_or_else(|| panic!("{when}: expected an error"));
    assert_eq!(error.kind(), ErrorKind::Device, "{when}: {error}");
}

/// Moves the model to a new device and draws there.
fn on_another(
    adapter: &wgpu::Adapter,
    diffusion: &mut Diffusion,
    expected: &Generated,
    when: &str,
) {
    let (device, queue) = device(adapter);
    diffusion.set_gpu(&Gpu::from_device(device, queue, Some(Storage::F32)).expect("f32 works"));
    let generated = diffusion.generate_blocking(&request()).expect(when);
    assert!(generated.picture == expected.picture, "{when}: another picture");
}

#[test]
fn a_device_destroyed_before_or_between_calls_gives_errors() {
    for adapter in adapters() {
        println!("testing on {}", adapter.get_info().name);
        let expected = open(&adapter).1.generate_blocking(&request()).expect("a picture");

        let (device, mut diffusion) = open(&adapter);
        device.destroy();
        is_device(diffusion.generate_blocking(&request()), "before anything is loaded");
        on_another(&adapter, &mut diffusion, &expected, "after nothing was loaded");

        let (device, mut diffusion) = open(&adapter);
        diffusion.generate_blocking(&request()).expect("a picture");
        device.destroy();
        is_device(diffusion.generate_blocking(&request()), "between two pictures");
        let latents = expected.latents.clone();
        is_device(pollster::block_on(diffusion.decode(&latents, 8, 8)), "decode");
        is_device(pollster::block_on(diffusion.decode_raw(&latents, 8, 8)), "decode_raw");
        is_device(pollster::block_on(diffusion.preview(&latents, 8, 8)), "preview");
        is_device(pollster::block_on(diffusion.encode_text("a tree")), "encode_text");
        let picture = Picture::new(64, 64, vec![9; 64 * 64 * 3]).expect("a picture");
        is_device(pollster::block_on(diffusion.encode(&picture)), "encode");
        on_another(&adapter, &mut diffusion, &expected, "after a picture");
    }
}

#[test]
fn a_device_destroyed_during_a_run_gives_errors() {
    for adapter in adapters() {
        let expected = open(&adapter).1.generate_blocking(&request()).expect("a picture");
        for step in [1, 3] {
            let (device, mut diffusion) = open(&adapter);
            let lose = |progress: &croquis::Progress| {
                if progress.step == step {
                    device.destroy();
                }
                ControlFlow::Continue(())
            };
            let when = format!("after step {step}");
            is_device(diffusion.generate_with_blocking(&request(), lose), &when);
            on_another(&adapter, &mut diffusion, &expected, &when);
        }
        let (device, mut diffusion) = open(&adapter);
        let mut run = pollster::block_on(diffusion.start(&request())).expect("it starts");
        pollster::block_on(run.step()).expect("the first step");
        device.destroy();
        is_device(pollster::block_on(run.latents()), "latents");
        is_device(pollster::block_on(run.preview()), "preview of a run");
        is_device(pollster::block_on(run.step()), "step");
        is_device(pollster::block_on(run.step()), "another step");
        is_device(pollster::block_on(run.finish()), "finish");
        on_another(&adapter, &mut diffusion, &expected, "after a run");
    }
}

#[test]
fn a_device_destroyed_while_something_is_awaited_gives_errors() {
    for adapter in adapters() {
        let expected = open(&adapter).1.generate_blocking(&request()).expect("a picture");
        // Each of these polls is in the middle of an upload, a compilation, a step or a decoding.
        let mut lost = 0;
        for polls in [0, 1, 5, 13, 34, 89] {
            let (device, mut diffusion) = open(&adapter);
            let request = request();
            let mut future = Box::pin(diffusion.generate(&request));
            let mut context = Context::from_waker(Waker::noop());
            let mut done = 0;
            let result = loop {
                if done == polls {
                    device.destroy();
                }
                if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
                    break result;
                }
                done += 1;
            };
            drop(future);
            if done >= polls {
                is_device(result, &format!("after {polls} polls"));
                lost += 1;
            }
            if polls == 13 {
                on_another(&adapter, &mut diffusion, &expected, "after a lost future");
            }
        }
        assert!(lost >= 3, "only {lost} futures were interrupted");
    }
}

#[test]
fn a_device_destroyed_by_another_thread_gives_errors() {
    for adapter in adapters() {
        let (device, mut diffusion) = open(&adapter);
        let started = std::time::Instant::now();
        diffusion.generate_blocking(&request()).expect("a picture");
        let whole = started.elapsed();
        drop(device);
        let mut lost = 0;
        for round in 0..8u32 {
            let (device, mut diffusion) = open(&adapter);
            let after = whole * round / 8;
            let result = std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(after);
                    device.destroy();
                });
                diffusion.generate_blocking(&request())
            });
            if let Err(error) = result {
                assert_eq!(error.kind(), ErrorKind::Device, "after {after:?}: {error}");
                lost += 1;
            }
        }
        assert!(lost > 0, "the device was never destroyed in time ({whole:?})");
        assert!(whole > Duration::ZERO);
    }
}

#[test]
fn a_device_as_wanted_has_what_the_adapter_has() {
    for adapter in adapters() {
        let wanted = Gpu::wanted(&adapter);
        let (device, queue) = pollster::block_on(adapter.request_device(&wanted)).expect("opens");
        let gpu = Gpu::from_device(device.clone(), queue, None).expect("wanted");
        let [f16, timestamps] = [wgpu::Features::SHADER_F16, wgpu::Features::TIMESTAMP_QUERY]
            .map(|feature| adapter.features().contains(feature));
        assert_eq!(gpu.target().capabilities.f16, f16, "{}", gpu.summary());
        assert_eq!(gpu.has_timestamps(), timestamps, "{}", gpu.summary());
        assert_eq!(device.limits(), adapter.limits(), "{}", gpu.summary());
    }
}
