//! Host work of a picture on a warm pipeline: the time between a request and the first dispatch, in
//! which settings are resolved, texts tokenised, plans looked up and inputs written.
//!
//! `cargo bench --bench host -- [--model DIR] [--size WxH]` takes a diffusers folder and a size in pixels; the
//! defaults are the embedded model and its size. `croquis synth sd15 DIR` writes Stable Diffusion 1.5
//! with random weights. The first request, which plans, uploads and compiles, is reported beside it.

mod common;

use common::{Options, median};
use croquis::Result;
use croquis::diffusion::{Diffusion, Request};
use croquis::files::ModelFiles;
use croquis::internal::logging;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Requests after the first.
const REQUESTS: usize = 9;

/// Notes when something first goes to the GPU.
struct FirstSubmission(Mutex<Option<Instant>>);

static FIRST: FirstSubmission = FirstSubmission(Mutex::new(None));

impl log::Log for FirstSubmission {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() == logging::SUBMIT
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let mut first = self.0.lock().unwrap_or_else(|error| error.into_inner());
            first.get_or_insert_with(Instant::now);
        }
    }

    fn flush(&self) {}
}

fn main() -> Result<()> {
    let options = Options::read();
    if !"host".contains(&options.filter) {
        return Ok(());
    }
    log::set_logger(&FIRST).expect("no other logger");
    log::set_max_level(log::LevelFilter::Trace);
    let gpu = options.gpu();
    let files = match &options.model {
        None => ModelFiles::embedded(),
        Some(folder) => ModelFiles::open(folder)?,
    };
    let mut diffusion = Diffusion::open(&gpu, &files)?;
    let mut request = Request::new("a photograph of a red apple on a wooden table").steps(20);
    if let Some([width, height]) = options.size {
        request = request.size(width, height);
    }
    let [first, whole] = start(&mut diffusion, &request)?;
    let times = (0..REQUESTS).map(|seed| {
        let request = request.clone().seed(seed as u64);
        Ok(start(&mut diffusion, &request)?[0])
    });
    let times = times.collect::<Result<Vec<_>>>()?;
    let (least, most) = (times.iter().min().copied(), times.iter().max().copied());
    let [first, whole, middle, least, most] =
        [first, whole, median(times), least.unwrap_or_default(), most.unwrap_or_default()]
            .map(|time| time.as_secs_f64() * 1e3);
    let storage = gpu.target().storage;
    if options.json {
        let line = serde_json::json!({
            "bench": "host", "model": diffusion.name(), "device": gpu.summary().name,
            "storage": storage.name(), "first_ms": first, "first_start_ms": whole,
            "warm_ms": middle, "warm_least_ms": least, "warm_most_ms": most,
        });
        println!("{line}");
    } else {
        println!(
            "{}, {storage}: {}, ms from the request to the first dispatch",
            gpu.summary(),
            diffusion.name()
        );
        println!("first request: {first:.2} (of {whole:.1} until the first step)");
        println!("later requests: median {middle:.2}, from {least:.2} to {most:.2}");
    }
    Ok(())
}

/// The time from a request to the first dispatch, and to the first step.
fn start(diffusion: &mut Diffusion, request: &Request) -> Result<[Duration; 2]> {
    *FIRST.0.lock().unwrap_or_else(|error| error.into_inner()) = None;
    let gpu = diffusion.gpu().clone();
    let started = Instant::now();
    gpu.block_on(diffusion.start(request)).map(drop)?;
    let whole = started.elapsed();
    let first = FIRST.0.lock().unwrap_or_else(|error| error.into_inner()).take();
    Ok([first.map_or(whole, |first| first - started), whole])
}
