//! Compiled kernels: each distinct WGSL module is one pipeline of a device.

use super::Gpu;
use super::guard::Scopes;
use super::pipeline_cache::PipelineCache;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Dispatch, Plan};
use crate::logging;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wgpu::{BindGroupLayout, BindingType, BufferBindingType, ComputePipeline};

/// A kernel ready to be dispatched.
pub(super) struct CompiledKernel {
    pub pipeline: ComputePipeline,
    pub layout: BindGroupLayout,
}

/// The compiled kernels of a device by the text of their module.
#[derive(Default)]
pub(super) struct Pipelines {
    kernels: Mutex<HashMap<String, Arc<CompiledKernel>>>,
    /// Where drivers' machine code is kept between processes.
    cache: Option<PipelineCache>,
}

impl Pipelines {
    pub(super) fn new(cache: Option<PipelineCache>) -> Self {
        Pipelines { kernels: Mutex::default(), cache }
    }

    fn kernels(&self) -> MutexGuard<'_, HashMap<String, Arc<CompiledKernel>>> {
        self.kernels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gpu {
    /// The kernel of every dispatch of a plan, in order. Those that are missing are compiled now: side
    /// by side on threads that end before this returns, except on WebAssembly, which has none.
    ///
    /// # Errors
    /// `Device` if the device refuses a kernel, which is named; `Memory` if it lacks memory.
    pub(super) async fn compile(&self, plan: &Plan) -> Result<Vec<Arc<CompiledKernel>>> {
        let storage = plan.target.storage;
        let modules: Vec<_> =
            plan.dispatches().map(|d| d.shader.module(storage, &d.launch)).collect();
        let mut missing: HashMap<&str, &Dispatch> = HashMap::new();
        {
            let known = self.pipelines.kernels();
            let pairs = modules.iter().zip(plan.dispatches());
            missing.extend(
                pairs.filter(|(m, _)| !known.contains_key(*m)).map(|(m, d)| (m.as_str(), d)),
            );
        }
        let mut missing: Vec<_> = missing.into_iter().collect();
        // In the order of the plan's kernels by name, so that errors and logs do not depend on hashes.
        missing.sort_by_key(|(module, dispatch)| (dispatch.shader.name, *module));
        let cache = self.pipelines.cache.as_ref();
        let compiled = in_parallel(&missing, |(module, dispatch)| {
            let scopes = Scopes::open(&self.device);
            scopes.close(compile(&self.device, dispatch, module, cache))
        });
        let device = &self.summary().name;
        for ((module, dispatch), compiled) in missing.iter().zip(compiled) {
            let what = format!("{device} refused the plan: kernel {}", dispatch.shader.name);
            // There is nothing where the compiler panicked.
            let compiled = compiled.ok_or_else(|| Error::new(ErrorKind::Device, &*what))?;
            let kernel = self.judge(&what, compiled).await?;
            log::debug!(target: logging::PIPELINE, "pipeline compiled: {}", dispatch.shader.name);
            self.pipelines.kernels().insert((*module).into(), Arc::new(kernel));
        }
        if let Some(cache) = cache.filter(|_| !missing.is_empty()) {
            cache.store();
        }
        let known = self.pipelines.kernels();
        Ok(modules.iter().filter_map(|module| known.get(module).cloned()).collect())
    }
}

/// Maps items by a function that may panic, on as many threads as the machine runs at once. The result
/// is `None` where it panicked.
#[cfg(not(target_arch = "wasm32"))]
fn in_parallel<T: Sync, R: Send>(items: &[T], map: impl Fn(&T) -> R + Sync) -> Vec<Option<R>> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let index = next.fetch_add(1, Ordering::Relaxed)
            && let Some(item) = items.get(index)
        {
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| map(item)));
            done.push((index, caught.ok()));
        }
        done
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(items.len());
    let mut results: Vec<_> = items.iter().map(|_| None).collect();
    std::thread::scope(|scope| {
        // This thread is one of them, and the only one where no other can be had.
        let spawn = |_| std::thread::Builder::new().spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..threads).filter_map(spawn).collect();
        let joined = others.into_iter().map(|thread| thread.join().unwrap_or_default());
        let own = work();
        for (index, result) in joined.flatten().chain(own) {
            results[index] = result;
        }
    });
    results
}

#[cfg(target_arch = "wasm32")]
fn in_parallel<T, R>(items: &[T], map: impl Fn(&T) -> R) -> Vec<Option<R>> {
    items.iter().map(|item| Some(map(item))).collect()
}

fn compile(
    device: &wgpu::Device,
    dispatch: &Dispatch,
    module: &str,
    cache: Option<&PipelineCache>,
) -> CompiledKernel {
    let name = dispatch.shader.name;
    let shader = device.create_shader_module(wgpu::ShaderModuleDescriptor {
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
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some(name),
        entries: &entries,
    });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(name),
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(name),
        layout: Some(&pipeline_layout),
        module: &shader,
        entry_point: Some(name),
        compilation_options: wgpu::PipelineCompilationOptions {
            // Every kernel writes its workgroup memory before it reads it.
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache: cache.map(PipelineCache::handle),
    });
    CompiledKernel { pipeline, layout }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parallel_results_are_in_order_and_panics_are_holes() {
        let items: Vec<usize> = (0..40).collect();
        let results = in_parallel(&items, |item| match item {
            7 => panic!("the panic of this test"),
            item => item * 2,
        });
        let expected = items.iter().map(|item| (*item != 7).then_some(item * 2));
        assert_eq!(results, expected.collect::<Vec<_>>());
        assert!(in_parallel(&[], |item: &usize| *item).is_empty());
    }
}
