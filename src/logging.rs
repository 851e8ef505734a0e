//! The targets of the library's log records that count work, one record for each piece of it. Tests and
//! benches count them to see that nothing is made twice.
//!
//! | Target | Level | One record when |
//! | --- | --- | --- |
//! | [`GRAPH`] | debug | a [`Graph`](crate::graph::Graph) is finished |
//! | [`PLAN`] | debug | a [`Plan`](crate::graph::Plan) is made |
//! | [`PIPELINE`] | debug | a kernel is compiled to a pipeline |
//! | [`PROGRAM`] | debug | the buffers and bind groups of a [`Program`](crate::gpu::Program) are made |
//! | [`TOKENS`] | debug | a text is tokenised for a text encoder |
//! | [`SUBMIT`] | trace | command buffers go to the GPU: a piece of a run, or a readback |
//!
//! Warnings have the path of the module that gives them as their target.

/// A graph is finished.
pub const GRAPH: &str = "croquis::graph";
/// A plan is made.
pub const PLAN: &str = "croquis::plan";
/// A pipeline is compiled; pipelines that are already there give no record.
pub const PIPELINE: &str = "croquis::pipeline";
/// A program's buffers and bind groups are made.
pub const PROGRAM: &str = "croquis::program";
/// A text is tokenised for a text encoder.
pub const TOKENS: &str = "croquis::tokens";
/// Command buffers go to the GPU.
pub const SUBMIT: &str = "croquis::submit";
