//! Devices whose limits are lower than WebGPU's: a picture is drawn within them, or refused by the
//! limit's name. The device has no error handlers, so that an error that croquis does not catch panics.

use croquis::diffusion::{Diffusion, Request};
use croquis::gpu::{Gpu, wgpu};
use croquis::{Generated, ModelFiles, Result, Storage};
use wgpu::Limits;

/// A limit by its name, values to try, and how to set it.
type Limit = (&'static str, &'static [u32], fn(&mut Limits, u32));

const LIMITS: &[Limit] = &[
    ("max_bind_groups", &[0], |l, v| l.max_bind_groups = v),
    ("max_bindings_per_bind_group", &[2, 5], |l, v| l.max_bindings_per_bind_group = v),
    ("max_storage_buffers_per_shader_stage", &[4, 7], |l, v| {
        l.max_storage_buffers_per_shader_stage = v
    }),
    ("max_uniform_buffers_per_shader_stage", &[0], |l, v| {
        l.max_uniform_buffers_per_shader_stage = v
    }),
    ("max_uniform_buffer_binding_size", &[16, 256], |l, v| {
        l.max_uniform_buffer_binding_size = v.into()
    }),
    ("max_storage_buffer_binding_size", &[1024, 1 << 20], |l, v| {
        l.max_storage_buffer_binding_size = v.into()
    }),
    ("max_buffer_size", &[1024, 1 << 20], |l, v| l.max_buffer_size = v.into()),
    ("max_compute_workgroup_storage_size", &[512], |l, v| l.max_compute_workgroup_storage_size = v),
    ("max_compute_invocations_per_workgroup", &[1, 16, 64], |l, v| {
        l.max_compute_invocations_per_workgroup = v
    }),
    ("max_compute_workgroup_size_x", &[16, 64], |l, v| l.max_compute_workgroup_size_x = v),
    ("max_compute_workgroup_size_y", &[4, 16], |l, v| l.max_compute_workgroup_size_y = v),
    ("max_compute_workgroup_size_z", &[1], |l, v| l.max_compute_workgroup_size_z = v),
    ("max_compute_workgroups_per_dimension", &[16, 400], |l, v| {
        l.max_compute_workgroups_per_dimension = v
    }),
];

fn draw(adapter: &wgpu::Adapter, limits: Limits) -> Result<Generated> {
    let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
    let (device, queue) =
        pollster::block_on(adapter.request_device(&descriptor)).expect("a device");
    let gpu = Gpu::from_device(device, queue, Some(Storage::F32))?;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/sd1-tiny");
    let mut diffusion = Diffusion::open(&gpu, &ModelFiles::folder(folder)?)?;
    diffusion.generate_blocking(&Request::new("a red apple").size(64, 64).steps(1).seed(3))
}

#[test]
fn pictures_are_drawn_within_low_limits_or_refused_by_their_names() {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL;
    let instance = wgpu::Instance::new(descriptor);
    for adapter in pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all())) {
        println!("testing on {}", adapter.get_info().name);
        let expected = draw(&adapter, adapter.limits()).expect("a picture within all limits");
        let [mut drawn, mut refused] = [0, 0];
        let mut unnamed = Vec::new();
        for (name, values, set) in LIMITS {
            for value in *values {
                let mut limits = adapter.limits();
                set(&mut limits, *value);
                match draw(&adapter, limits) {
                    // Other variants of a kernel sum in another order.
                    Ok(generated) => {
                        let pairs = generated.latents.iter().zip(&expected.latents);
                        let most = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                        assert!(most < 1e-3, "{name} {value}: latents differ by {most}");
                        println!("{name} {value}: drawn");
                        drawn += 1;
                    }
                    Err(error) => {
                        let text = error.to_string();
                        println!("{name} {value}: {:?}: {text}", error.kind());
                        refused += 1;
                        if !text.contains(name) {
                            unnamed.push(format!("{name} {value}: {text}"));
                        }
                    }
                }
            }
        }
        assert!(unnamed.is_empty(), "the limit is not named:\n{}", unnamed.join("\n"));
        assert!(drawn >= 5 && refused >= 5, "{drawn} drawn, {refused} refused");
    }
}
