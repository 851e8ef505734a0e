//! Devices: opening one, and taking an application's.

use super::adapter::{AdapterSummary, instance, select, summarize};
use super::classify::{check_limits, cooperative_matrices, default_storage, device_class, target};
use super::compile::Pipelines;
use super::completion::completion;
use super::failure::Failure;
use super::guard::lost;
use super::options::{DeviceOptions, LimitProfile};
use crate::error::{Error, ErrorKind, Result};
use crate::kernels::{DeviceClass, Target};
use crate::logging;
use crate::shape::Storage;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use wgpu::Features;

/// An opened device with its compiled kernels. Cloning it is cheap.
#[derive(Clone)]
pub struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) pipelines: Arc<Pipelines>,
    pub(super) failure: Failure,
    summary: AdapterSummary,
    target: Target,
    /// The options that it was opened with; `None` for a caller's device.
    options: Option<Arc<DeviceOptions>>,
    /// Bytes beyond which allocations are refused, since real devices are too large to try that on.
    #[cfg(test)]
    pub(crate) capacity: Option<u64>,
}

impl Gpu {
    /// Opens a device.
    ///
    /// # Errors
    /// `Device` if there is none, none matches, or it cannot be opened; `Unsupported` if it lacks the
    /// storage type that was asked for.
    pub async fn open(options: &DeviceOptions) -> Result<Gpu> {
        let instance = instance();
        let environment = std::env::var("CROQUIS_DEVICE").ok();
        let wish = options.device.as_deref().or(environment.as_deref());
        let (index, adapter) = select(&instance, wish).await?;
        let (device, queue) =
            adapter.request_device(&options.descriptor(&adapter)).await.map_err(|error| {
                let message = format!("{} cannot be opened", adapter.get_info().name);
                Error::new(ErrorKind::Device, message).with_source(error)
            })?;
        let mut gpu = Gpu::new(device, queue, summarize(index, &adapter), options)?;
        let products = adapter.cooperative_matrix_properties();
        gpu.target.capabilities.cooperative =
            cooperative_matrices(gpu.device.features(), &products);
        match options.limits {
            LimitProfile::Adapter => {}
            LimitProfile::WebGpu => gpu.target.class = DeviceClass::Portable,
            LimitProfile::Adreno => gpu.target.class = DeviceClass::Adreno,
        }
        gpu.options =
            Some(Arc::new(DeviceOptions { device: wish.map(String::from), ..options.clone() }));
        let failure = gpu.failure.clone();
        gpu.device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            failure.report(error.to_string())
        }));
        gpu.report_loss();
        if let Some(folder) = &options.pipeline_cache {
            let cache = gpu.pipeline_cache(folder).await;
            gpu.pipelines = Arc::new(Pipelines::new(cache));
        }
        Ok(gpu)
    }

    /// Opens the device again, for when it was lost: a new connection with nothing on it, with the
    /// options, storage type and kernel choices of this one.
    ///
    /// # Errors
    /// `Unsupported` for a caller's device, which its caller has to open; else as [`Gpu::open`].
    pub async fn reopen(&self) -> Result<Gpu> {
        let Some(options) = &self.options else {
            let message = "the device was opened by the application, which has to open another one";
            return Err(Error::new(ErrorKind::Unsupported, message));
        };
        let storage = Some(self.target.storage);
        let mut gpu = Gpu::open(&DeviceOptions { storage, ..(**options).clone() }).await?;
        gpu.target.class = self.target.class;
        gpu.target.weight_format = self.target.weight_format;
        gpu.target.choices = self.target.choices.clone();
        Ok(gpu)
    }

    /// Whether [`Gpu::reopen`] can open it again.
    pub(crate) fn can_reopen(&self) -> bool {
        self.options.is_some()
    }

    /// [`Gpu::reopen`], blocking.
    ///
    /// # Errors
    /// As [`Gpu::reopen`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn reopen_blocking(&self) -> Result<Gpu> {
        // The device that was lost need not be polled.
        super::completion::block_on(None, self.reopen())
    }

    /// What croquis asks of an adapter: those of the features `SHADER_F16`, `SUBGROUP` and
    /// `TIMESTAMP_QUERY` that it has, all of its limits, and small blocks of memory. [`Gpu::open`]
    /// requests this with [`LimitProfile::Adapter`]; an application adds what it needs itself and gives
    /// the device to [`Gpu::from_device`].
    pub fn wanted(adapter: &wgpu::Adapter) -> wgpu::DeviceDescriptor<'static> {
        DeviceOptions::default().descriptor(adapter)
    }

    /// Uses a device that the caller opened, best with [`Gpu::wanted`]. For storage `f16` it must have been opened with
    /// `SHADER_F16`; the caller's error handlers stay in place, and croquis reports its own errors to
    /// nobody but its callers: a device that is lost or destroyed gives errors of kind `Device`.
    ///
    /// # Errors
    /// `Unsupported` if it lacks the storage type that was asked for.
    pub fn from_device(
        device: wgpu::Device,
        queue: wgpu::Queue,
        storage: Option<Storage>,
    ) -> Result<Gpu> {
        let info = device.adapter_info();
        let summary = AdapterSummary {
            index: 0,
            name: info.name.clone(),
            driver: info.driver.clone(),
            backend: format!("{:?}", info.backend),
            device_type: format!("{:?}", info.device_type),
            class: device_class(&info),
            shader_f16: device.features().contains(Features::SHADER_F16),
            max_binding_bytes: device.limits().max_storage_buffer_binding_size,
            memory_bytes: None,
        };
        let options = DeviceOptions { storage, ..Default::default() };
        let mut gpu = Gpu::new(device, queue, summary, &options)?;
        gpu.summary.memory_bytes = gpu.memory();
        // In browsers a device has any number of these callbacks.
        #[cfg(target_arch = "wasm32")]
        gpu.report_loss();
        Ok(gpu)
    }

    /// Keeps a loss of the device as its failure.
    fn report_loss(&self) {
        let failure = self.failure.clone();
        self.device.set_device_lost_callback(move |_, message| {
            failure.lost.store(true, Ordering::Relaxed);
            failure.report(format!("device lost: {message}"));
        });
    }

    /// Destroys the device, as drivers may do at any time.
    #[cfg(test)]
    pub(crate) fn destroy(&self) {
        self.device.destroy();
    }

    fn new(
        device: wgpu::Device,
        queue: wgpu::Queue,
        summary: AdapterSummary,
        options: &DeviceOptions,
    ) -> Result<Gpu> {
        let features = device.features();
        let storage = options.storage.unwrap_or_else(|| default_storage(summary.class, features));
        if storage == Storage::F16 && !features.contains(Features::SHADER_F16) {
            let message = format!(
                "{} has no native 16-bit floats (shader-f16); use storage packed or f32",
                summary.name
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        check_limits(&device)?;
        let target = target(summary.class, &device, storage);
        Ok(Gpu {
            device,
            queue,
            pipelines: Arc::default(),
            failure: Failure::default(),
            summary,
            target,
            options: None,
            #[cfg(test)]
            capacity: None,
        })
    }

    /// The description of its adapter.
    pub fn summary(&self) -> &AdapterSummary {
        &self.summary
    }

    /// The target that plans for this device are made for.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The same device with another storage type; compiled kernels are shared.
    ///
    /// # Errors
    /// `Unsupported` if the device lacks it.
    pub fn with_storage(&self, storage: Storage) -> Result<Gpu> {
        let options = DeviceOptions { storage: Some(storage), ..Default::default() };
        let other =
            Gpu::new(self.device.clone(), self.queue.clone(), self.summary.clone(), &options)?;
        let target = Target { storage, ..self.target.clone() };
        Ok(Gpu {
            pipelines: self.pipelines.clone(),
            failure: self.failure.clone(),
            options: self.options.clone(),
            target,
            #[cfg(test)]
            capacity: self.capacity,
            ..other
        })
    }

    /// The same device with the kernel variants of another class, to try them where that class is
    /// not at hand.
    #[doc(hidden)]
    pub fn with_class(&self, class: DeviceClass) -> Gpu {
        Gpu { target: Target { class, ..self.target.clone() }, ..self.clone() }
    }

    /// Submits a command buffer; `what` is in it, for the log.
    pub(super) fn submit(&self, what: impl std::fmt::Display, commands: wgpu::CommandBuffer) {
        log::trace!(target: logging::SUBMIT, "submitted: {what}");
        self.watched(|| self.queue.submit([commands]));
    }

    /// Submits the writes to buffers that wait for a submission.
    pub(super) fn flush(&self) {
        self.watched(|| self.queue.submit([]));
    }

    /// Resolves when everything submitted so far is done.
    ///
    /// # Errors
    /// `Device` if the device reported a failure.
    pub async fn finished(&self) -> Result<()> {
        let (sender, done) = completion(&self.device);
        // Whoever waits may have given up.
        self.queue.on_submitted_work_done(move || {
            let _ = sender.send(());
        });
        done.await?;
        self.check()
    }

    /// What the device reported so far, or that it is gone.
    pub(super) fn check(&self) -> Result<()> {
        if self.is_lost() {
            return Err(lost());
        }
        self.failure.check()
    }

    /// Runs a future of this crate to its end on this thread, which sleeps while the GPU works.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        super::completion::block_on(Some(&self.device), future)
    }

    /// [`Gpu::open`], blocking.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open_blocking(options: &DeviceOptions) -> Result<Gpu> {
        super::completion::block_on(None, Gpu::open(options))
    }

    /// Whether dispatches can be timed on the GPU itself.
    pub fn has_timestamps(&self) -> bool {
        self.device.features().contains(Features::TIMESTAMP_QUERY)
    }
}
