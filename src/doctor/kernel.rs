//! Checks of single kernels against their f64 references.

use super::{Check, Measure, by_storage, relative_l2};
use crate::error::Result;
use crate::gpu::{Gpu, GpuWeights, Program};
use crate::graph::{Plan, single_op, variant_plans};
use crate::kernels::{Case, HostTensor, Mismatch, Target};
use crate::shape::{DType, Storage};

/// A test case of a kernel with the values of its operands and the result of its reference. It can be
/// run on any device.
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

    /// The test case.
    pub fn case(&self) -> &Case {
        &self.case
    }

    /// The case as a plan of one dispatch, whose result is `out`.
    ///
    /// # Errors
    /// `Shape` if the case's operands do not fit.
    pub fn plan(&self, target: &Target) -> Result<Plan> {
        Plan::new(&single_op(&self.case)?, target)
    }

    /// The case as plans of one dispatch, one for each variant of the kernel, the default first.
    ///
    /// # Errors
    /// `Shape` if the case's operands do not fit.
    pub fn variants(&self, target: &Target) -> Result<Vec<Plan>> {
        variant_plans(&self.case, target)
    }

    /// Runs the kernel's default variant and compares its result with the reference. Elements that it
    /// does not write are NaN, and padding that is not zero fails the check too.
    pub async fn run(&self, gpu: &Gpu) -> Check {
        match self.plan(gpu.target()) {
            Ok(plan) => self.run_plan(gpu, plan).await,
            Err(error) => self.failed(error),
        }
    }

    /// [`KernelCheck::run`] with a given plan, which a test may alter to be wrong.
    pub async fn run_plan(&self, gpu: &Gpu, plan: Plan) -> Check {
        let storage = plan.target.storage;
        let variants = plan.dispatches().map(|dispatch| dispatch.launch.variant.as_str());
        let variant = variants.collect::<Vec<_>>().join(" ");
        let (got, padding) = match self.compute(gpu, plan).await {
            Ok(computed) => computed,
            Err(error) => return Check { variant: Some(variant), ..self.failed(error) },
        };
        let mut outcome = self.compare(&got, storage);
        if let Some(lane) = padding.iter().find(|lane| **lane != 0.0)
            && outcome.passed
        {
            outcome = self.failed(format!("padding: expected zeros, got {lane}"));
        }
        Check { variant: Some(variant), ..outcome }
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

    /// The operation with its attributes and the shapes of its operands.
    fn name(&self) -> String {
        let shapes = self.case.operands.iter().map(|operand| match operand {
            Some(operand) => operand.tensor.shape.to_string(),
            None => "-".into(),
        });
        format!("{:?} {}", self.case.op, shapes.collect::<Vec<_>>().join(" "))
    }

    fn failed(&self, problem: impl std::fmt::Display) -> Check {
        Check::failed(self.case.op.name(), self.name(), problem)
    }

    /// The result on a device, integers exact in f64, and its padding.
    async fn compute(&self, gpu: &Gpu, plan: Plan) -> Result<(Vec<f64>, Vec<f32>)> {
        let mut weights = GpuWeights::default();
        if !plan.weights.is_empty() {
            weights.upload(gpu, &self.case.weights(&self.values)?, &plan.weights).await?;
        }
        let program = Program::new(gpu, plan, &weights, &[]).await?;
        self.case.write_inputs(&self.values, |name, values| program.write(name, values))?;
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
}
