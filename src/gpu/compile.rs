//! Compiled kernels, each once per device, storage type and header.

use crate::graph::Dispatch;
use crate::logging;
use crate::shape::Storage;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use wgpu::{BindGroupLayout, BindingType, BufferBindingType, ComputePipeline};

/// A kernel ready to dispatch.
pub(super) struct CompiledKernel {
    pub pipeline: ComputePipeline,
    pub layout: BindGroupLayout,
}

/// The compile cache of a device.
pub(super) struct Pipelines {
    device: wgpu::Device,
    kernels: Mutex<HashMap<String, Arc<CompiledKernel>>>,
}

impl Pipelines {
    pub(super) fn new(device: &wgpu::Device) -> Self {
        Pipelines { device: device.clone(), kernels: Mutex::default() }
    }

    /// The kernel of a dispatch, compiled now if no dispatch wanted it before.
    pub(super) fn get(&self, dispatch: &Dispatch, storage: Storage) -> Arc<CompiledKernel> {
        let module = dispatch.shader.module(storage, &dispatch.launch);
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        kernels
            .entry(module)
            .or_insert_with_key(|module| Arc::new(self.compile(dispatch, module)))
            .clone()
    }

    fn compile(&self, dispatch: &Dispatch, module: &str) -> CompiledKernel {
        let name = dispatch.shader.name;
        let shader = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(name),
            source: wgpu::ShaderSource::Wgsl(module.into()),
        });
        let last = dispatch.operands.len() as u32;
        let binding = |binding: u32| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: BindingType::Buffer {
                ty: match binding {
                    0 => BufferBindingType::Uniform,
                    binding => BufferBindingType::Storage { read_only: binding != last },
                },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        let entries: Vec<_> = (0..=last).map(binding).collect();
        let layout = self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(name),
            entries: &entries,
        });
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&pipeline_layout),
            module: &shader,
            entry_point: Some(name),
            compilation_options: wgpu::PipelineCompilationOptions {
                // Every kernel writes its workgroup memory before it reads it.
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        log::debug!(target: logging::PIPELINE, "pipeline compiled: {name}");
        CompiledKernel { pipeline, layout }
    }
}
