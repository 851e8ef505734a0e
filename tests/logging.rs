//! The log records that count work: one for each graph, plan, pipeline, program and submission.

mod common;

use croquis::gpu::GpuWeights;
use croquis::internal::graph::Builder;
use croquis::internal::logging;
use croquis::internal::shape::TensorType;
use std::collections::HashMap;
use std::sync::Mutex;

/// Counts records by their target.
struct Counter(Mutex<Option<HashMap<String, usize>>>);

static COUNTER: Counter = Counter(Mutex::new(None));

impl log::Log for Counter {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("croquis::")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let mut counts = self.0.lock().unwrap();
            *counts.get_or_insert_default().entry(record.target().into()).or_default() += 1;
        }
    }

    fn flush(&self) {}
}

/// How often each target was seen since the last call: graph, plan, pipeline, program, submit.
fn counts() -> [usize; 5] {
    let counts = COUNTER.0.lock().unwrap().take().unwrap_or_default();
    [logging::GRAPH, logging::PLAN, logging::PIPELINE, logging::PROGRAM, logging::SUBMIT]
        .map(|target| counts.get(target).copied().unwrap_or(0))
}

// The only test of this target: the logger belongs to the whole process.
#[test]
fn each_piece_of_work_is_one_record() {
    log::set_logger(&COUNTER).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    for gpu in common::gpus() {
        counts();
        let builder = Builder::new();
        let x = builder.input("x", TensorType::real([1, 8]));
        builder.output("y", x.silu().silu() + x);
        builder.carry("y", 0, "x");
        let graph = builder.finish().unwrap();
        let program = common::program(gpu, &graph, &GpuWeights::default(), &[]);
        // `silu` twice is one pipeline.
        assert_eq!(counts(), [1, 1, 2, 1, 0], "{}", common::name(gpu));
        common::program(gpu, &graph, &GpuWeights::default(), &[]);
        assert_eq!(counts(), [0, 1, 0, 1, 0]);
        program.run();
        assert_eq!(counts(), [0, 0, 0, 0, 1]);
        gpu.block_on(program.read("y")).unwrap();
        assert_eq!(counts(), [0, 0, 0, 0, 1]);
    }
}
