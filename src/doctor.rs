//! The self-check: every kernel against its f64 reference on a device, and the embedded model
//! against a picture that diffusers made.
//!
//! ```no_run
//! use croquis::{doctor, gpu::Gpu};
//!
//! let gpu = Gpu::open_blocking(&Default::default())?;
//! let report = doctor::examine_blocking(&gpu, |_| {});
//! assert!(report.passed(), "{:?}", report.failures().next());
//! # Ok::<(), croquis::Error>(())
//! ```

#[cfg(feature = "embedded")]
mod embedded;
mod kernel;

#[doc(hidden)]
pub use kernel::KernelCheck;

use crate::gpu::Gpu;
use crate::kernels::Op;
use crate::shape::Storage;
use std::fmt;

/// The quantity that a check measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// ‖got − expected‖ / ‖expected‖: at most the tolerance.
    RelativeL2,
    /// The largest difference of two bytes: at most the tolerance.
    Bytes,
    /// The largest difference of two numbers: at most the tolerance.
    Largest,
    /// Peak signal-to-noise ratio of two pictures in dB: at least the tolerance.
    Psnr,
}

impl Measure {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Measure::RelativeL2 => "relative L2",
            Measure::Bytes => "difference of bytes",
            Measure::Largest => "difference",
            Measure::Psnr => "PSNR in dB",
        }
    }

    /// Whether an error is within the tolerance; NaN never is.
    fn accepts(self, error: f64, tolerance: f64) -> bool {
        match self {
            Measure::Psnr => error >= tolerance,
            Measure::RelativeL2 | Measure::Bytes | Measure::Largest => error <= tolerance,
        }
    }
}

/// The outcome of one check.
#[derive(Clone, Debug)]
pub struct Check {
    /// The kernel, or the model and the part of it.
    pub group: &'static str,
    /// The checked operation or output, with attributes and shapes.
    pub name: String,
    /// The kernel's variant that ran, such as `tiled-64x64`; none for parts of a model.
    pub variant: Option<String>,
    /// The quantity of `error` and `tolerance`.
    pub measure: Measure,
    /// The deviation from the reference; NaN without a result.
    pub error: f64,
    /// The bound on `error`.
    pub tolerance: f64,
    /// Whether `error` is within the tolerance.
    pub passed: bool,
    /// The reason for a missing result.
    pub problem: Option<String>,
}

impl Check {
    fn measured(
        group: &'static str,
        name: String,
        measure: Measure,
        error: f64,
        tolerance: f64,
    ) -> Check {
        let passed = measure.accepts(error, tolerance);
        Check { group, name, variant: None, measure, error, tolerance, passed, problem: None }
    }

    fn failed(group: &'static str, name: String, problem: impl fmt::Display) -> Check {
        Check {
            group,
            name,
            variant: None,
            measure: Measure::RelativeL2,
            error: f64::NAN,
            tolerance: 0.0,
            passed: false,
            problem: Some(problem.to_string()),
        }
    }

    /// The measured and the expected value, or the problem if there is no result.
    pub fn outcome(&self) -> String {
        if let Some(problem) = &self.problem {
            return problem.clone();
        }
        let bound = if self.measure == Measure::Psnr { "at least" } else { "at most" };
        let (error, tolerance) = (Number(self.error), Number(self.tolerance));
        format!("{}: expected {bound} {tolerance}, got {error}", self.measure.name())
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variant = self.variant.as_ref().map(|variant| format!("{variant} "));
        write!(f, "{}{}: {}", variant.unwrap_or_default(), self.name, self.outcome())
    }
}

/// A number of any magnitude in a few characters.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Number(value) = self;
        match value.abs() {
            0.0 => f.write_str("0"),
            magnitude if magnitude < 0.1 => write!(f, "{value:.1e}"),
            _ => write!(f, "{value:.1}"),
        }
    }
}

/// All checks of one device and storage type.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The checks, in the order they ran.
    pub checks: Vec<Check>,
}

impl Report {
    /// The verdict: whether every check passed, and there was one.
    pub fn passed(&self) -> bool {
        !self.checks.is_empty() && self.failures().next().is_none()
    }

    /// The checks that did not pass.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| !check.passed)
    }
}

/// The number of checks that [`examine`] makes.
pub fn count() -> usize {
    let model = if cfg!(feature = "embedded") { 3 } else { 0 };
    Op::cases().len() + model
}

/// Runs every check on a device with its storage type; `seen` is called with each result. A
/// check that cannot run fails.
pub async fn examine(gpu: &Gpu, mut seen: impl FnMut(&Check)) -> Report {
    let mut report = Report::default();
    for (seed, case) in Op::cases().into_iter().enumerate() {
        let check = KernelCheck::new(case, seed as u64).run(gpu).await;
        seen(&check);
        report.checks.push(check);
    }
    #[cfg(feature = "embedded")]
    for check in embedded::checks(gpu).await {
        seen(&check);
        report.checks.push(check);
    }
    report
}

/// [`examine`], blocking this thread.
#[cfg(not(target_arch = "wasm32"))]
pub fn examine_blocking(gpu: &Gpu, seen: impl FnMut(&Check)) -> Report {
    gpu.block_on(examine(gpu, seen))
}

/// The tolerance for a storage type: the first for f32, the second for 16-bit floats.
fn by_storage(storage: Storage, f32: f64, halves: f64) -> f64 {
    if storage == Storage::F32 { f32 } else { halves }
}

/// ‖got − expected‖ / ‖expected‖; infinite where a value is not finite or the lengths differ.
fn relative_l2(got: &[f64], expected: &[f64]) -> f64 {
    if got.len() != expected.len() || got.iter().any(|value| !value.is_finite()) {
        return f64::INFINITY;
    }
    let error: f64 = got.iter().zip(expected).map(|(a, b)| (a - b) * (a - b)).sum();
    let norm: f64 = expected.iter().map(|value| value * value).sum();
    if norm == 0.0 { error.sqrt() } else { (error / norm).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_or_no_check_at_all_fails_the_report() {
        let good = Check::measured("row", "row".into(), Measure::RelativeL2, 1e-7, 1e-5);
        let bad = Check::measured("row", "row".into(), Measure::RelativeL2, f64::NAN, 1e-5);
        let dim = Check::measured("picture", "picture".into(), Measure::Psnr, 20.0, 30.0);
        assert!(!Report::default().passed());
        assert!(Report { checks: vec![good.clone()] }.passed());
        assert!(!Report { checks: vec![good.clone(), bad] }.passed());
        assert!(!Report { checks: vec![good.clone(), dim.clone()] }.passed());
        assert!(!Report { checks: vec![good, Check::failed("row", "row".into(), "no")] }.passed());
        assert_eq!(dim.to_string(), "picture: PSNR in dB: expected at least 30.0, got 20.0");
    }
}
