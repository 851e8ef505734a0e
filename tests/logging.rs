//! The log records that count work: one for each graph, plan, pipeline, program and submission.

mod common;
#[path = "common/records.rs"]
mod records;

use croquis::gpu::GpuWeights;
use croquis::internal::graph::Builder;
use croquis::internal::logging;
use croquis::internal::shape::TensorType;

/// How often each target was seen since the last call: graph, plan, pipeline, program, submit.
fn counts() -> [usize; 5] {
    records::counts([
        logging::GRAPH,
        logging::PLAN,
        logging::PIPELINE,
        logging::PROGRAM,
        logging::SUBMIT,
    ])
}

// The only test of this target: the logger belongs to the whole process.
#[test]
fn each_piece_of_work_is_one_record() {
    records::install();
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
