//! Runs croquis on the application's own wgpu device and queue, next to its other GPU work:
//! `cargo run --release --example embed "a blue heart"` writes embed.png.

use croquis::diffusion::{Diffusion, Request};
use croquis::files::ModelFiles;
use croquis::gpu::{Gpu, wgpu};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let prompt = std::env::args().nth(1).unwrap_or_else(|| "a blue heart".into());
    let (device, queue) = pollster::block_on(application())?;

    // Both handles are cheap to clone; the application keeps using its own.
    let gpu = Gpu::from_device(device.clone(), queue.clone(), None)?;
    println!("drawing {prompt:?} on {} with storage {}", gpu.summary(), gpu.target().storage);
    let mut diffusion = Diffusion::open(&gpu, &ModelFiles::embedded())?;
    let request = Request::new(prompt).seed(42);
    let generated = diffusion.generate_blocking(&request)?;

    generated.picture.save("embed.png", &[])?;
    println!("embed.png");
    Ok(())
}

/// The application's own setup: an instance, an adapter, a device.
async fn application() -> Result<(wgpu::Device, wgpu::Queue), Box<dyn std::error::Error>> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await?;
    // croquis runs within WebGPU's default limits; what it wants of this adapter makes it faster and
    // allows larger pictures. The application adds the features that it needs itself.
    let descriptor = wgpu::DeviceDescriptor { label: Some("application"), ..Gpu::wanted(&adapter) };
    Ok(adapter.request_device(&descriptor).await?)
}
