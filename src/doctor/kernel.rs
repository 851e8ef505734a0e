//! Checks of single kernels against their f64 references.

use super::{Check, Measure, by_storage, relative_l2};
use crate::error::{Error, ErrorKind, Result};
use crate::gpu::{Gpu, GpuWeights, Program};
use crate::graph::{Graph, Node, Plan, Source};
use crate::kernels::{Case, HostTensor, Mismatch, Target};
use crate::shape::{DType, Storage};

/// One case of a kernel with its operands' values and its reference, to be run on any device.
#[derive(Clone, Debug)]
pub struct KernelCheck {
    case: Case,
    values: Vec<Option<HostTensor>>,
    expected: HostTensor,
}

impl KernelCheck {
    /// Draws a case's values from a seed and computes the reference.
    pub fn new(case: Case, seed: u64) -> Self {
        let values = case.values(seed);
        let operands: Vec<_> = values.iter().map(Option::as_ref).collect();
        let expected = case.op.kernel().reference(&operands);
        KernelCheck { case, values, expected }
    }

    /// The reference.
    pub fn expected(&self) -> &HostTensor {
        &self.expected
    }

    /// The WGSL source for a target.
    ///
    /// # Errors
    /// `Shape` if the case's operands do not fit.
    pub fn module(&self, target: &Target) -> Result<String> {
        let plan = self.plan(target)?;
        let modules = plan.dispatches().map(|d| d.shader.module(target.storage, &d.launch));
        Ok(modules.collect())
    }

    /// The case as a plan of one dispatch, whose result is `out`.
    ///
    /// # Errors
    /// `Shape` if the case's operands do not fit.
    pub fn plan(&self, target: &Target) -> Result<Plan> {
        Plan::new(&self.graph()?, target)
    }

    /// Runs the kernel and compares; whatever it leaves unwritten is NaN, and padding that is not
    /// zero fails the check too.
    pub async fn run(&self, gpu: &Gpu) -> Check {
        match self.plan(gpu.target()) {
            Ok(plan) => self.run_plan(gpu, plan).await,
            Err(error) => self.failed(error),
        }
    }

    /// [`KernelCheck::run`] with a given plan, which a test may alter to be wrong.
    pub async fn run_plan(&self, gpu: &Gpu, plan: Plan) -> Check {
        let (got, padding) = match self.compute(gpu, plan).await {
            Ok(computed) => computed,
            Err(error) => return self.failed(error),
        };
        let outcome = self.compare(&got, gpu.target().storage);
        match padding.iter().find(|lane| **lane != 0.0) {
            Some(lane) if outcome.passed => {
                self.failed(format!("padding: expected zeros, got {lane}"))
            }
            _ => outcome,
        }
    }

    /// Compares a result with the reference. The tolerance is that of f32 arithmetic over at most a
    /// few thousand terms, or of rounding to 11 bits at the end; bytes of pixels may differ by one.
    pub fn compare(&self, got: &[f64], storage: Storage) -> Check {
        let (group, name) = (self.case.op.name(), self.name());
        let output = match self.case.op.kernel().infer(&self.case.types()) {
            Ok(output) => output,
            Err(Mismatch(message)) => return self.failed(message),
        };
        if output.shape != self.expected.shape || got.len() != self.expected.data.len() {
            let (shape, expected) = (output.shape, self.expected.shape);
            let problem = format!("expected {expected}, got {shape} and {} values", got.len());
            return self.failed(problem);
        }
        let expected = &self.expected.data;
        if output.dtype == DType::U32 {
            let bytes = |value: f64| (value as u32).to_le_bytes();
            let pairs = got.iter().zip(expected);
            let bytes = pairs.flat_map(|(a, b)| bytes(*a).into_iter().zip(bytes(*b)));
            let error = bytes.map(|(a, b)| a.abs_diff(b)).max().unwrap_or(0);
            return Check::measured(group, name, Measure::Bytes, f64::from(error), 1.0);
        }
        let error = relative_l2(got, expected);
        Check::measured(group, name, Measure::RelativeL2, error, by_storage(storage, 1e-5, 1e-3))
    }

    /// The operation with its attributes, and the shapes of its operands.
    fn name(&self) -> String {
        let shapes = self.case.operands.iter().map(|operand| match operand {
            Some((tensor, _)) => tensor.shape.to_string(),
            None => "-".into(),
        });
        format!("{:?} {}", self.case.op, shapes.collect::<Vec<_>>().join(" "))
    }

    fn failed(&self, problem: impl std::fmt::Display) -> Check {
        Check::failed(self.case.op.name(), self.name(), problem)
    }

    /// The result on a device, integers exact in f64, and its padding.
    async fn compute(&self, gpu: &Gpu, plan: Plan) -> Result<(Vec<f64>, Vec<f32>)> {
        let program = Program::new(gpu, plan, &GpuWeights::default(), &[]).await?;
        for (index, value) in self.values.iter().enumerate() {
            if let Some(value) = value {
                let values: Vec<_> = value.data.iter().map(|v| *v as f32).collect();
                program.write(&index.to_string(), &values)?;
            }
        }
        program.poison("out")?;
        program.run();
        let integers = program.plan().outputs.iter().any(|port| port.tensor.dtype == DType::U32);
        let got = if integers {
            program.read_u32("out").await?.into_iter().map(f64::from).collect()
        } else {
            program.read("out").await?.into_iter().map(f64::from).collect()
        };
        Ok((got, program.read_padding("out").await?))
    }

    /// The case as a graph of one operation.
    fn graph(&self) -> Result<Graph> {
        let mut graph = Graph::default();
        let mut node = |source, tensor| {
            graph.nodes.push(Node { source, tensor, path: String::new() });
            graph.nodes.len() - 1
        };
        let types = self.case.types();
        let inputs = types.iter().enumerate();
        let operands = inputs
            .map(|(index, tensor)| tensor.map(|t| node(Source::Input(index.to_string()), t)))
            .collect();
        let output = self.case.op.kernel().infer(&types);
        let output = output.map_err(|Mismatch(message)| Error::new(ErrorKind::Shape, message))?;
        let id = node(Source::Op { op: self.case.op.clone(), operands }, output);
        graph.outputs.push(("out".into(), id));
        Ok(graph)
    }
}
