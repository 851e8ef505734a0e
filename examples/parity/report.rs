//! The report: a table of differences, and their tolerances.

use crate::common::relative_l2;
use croquis::Storage;
use croquis::gpu::Gpu;
use std::time::Instant;

/// The table's rows, printed as they are added, and the number of failures.
pub struct Report {
    device: String,
    family: String,
    storage: Storage,
    self_check: bool,
    failed: usize,
    started: Instant,
}

impl Report {
    /// Prints the head of the table.
    pub fn new(gpu: &Gpu, family: &str, self_check: bool) -> Report {
        println!("| Model | Device | Storage | Module | Difference | Allowed | Seconds |");
        println!("| --- | --- | --- | --- | --- | --- | --- |");
        Report {
            device: gpu.summary().name.clone(),
            family: family.into(),
            storage: gpu.target().storage,
            self_check,
            failed: 0,
            started: Instant::now(),
        }
    }

    pub fn self_check(&self) -> bool {
        self.self_check
    }

    pub fn passed(&self) -> bool {
        self.failed == 0
    }

    /// The tolerance of a module's relative L2 error.
    fn tolerance(&self) -> f64 {
        if self.storage == Storage::F32 { 1e-4 } else { 5e-3 }
    }

    /// Compares a module's output with the reference by the relative L2 error.
    pub fn module(&mut self, name: &str, got: &[f32], expected: &[f32]) {
        let allowed = self.tolerance();
        let error = relative_l2(got, expected);
        self.row(name, &format!("{error:.1e}"), &format!("{allowed:.0e}"), error <= allowed);
        if self.self_check {
            // One percent more everywhere: less than the error of any wrong formula.
            let wrong: Vec<f32> = expected.iter().map(|value| value * 1.01).collect();
            self.detects(name, "a reference that is 1 % larger", relative_l2(got, &wrong));
        }
    }

    /// Compares the latents after all steps, in which the errors of the steps add up.
    pub fn latents(&mut self, name: &str, got: &[f32], expected: &[f32]) {
        let allowed = self.tolerance() * 10.0;
        let error = relative_l2(got, expected);
        self.row(name, &format!("{error:.1e}"), &format!("{allowed:.0e}"), error <= allowed);
    }

    /// Compares a picture with the reference by the peak signal-to-noise ratio.
    pub fn picture(&mut self, name: &str, got: &[u8], expected: &[u8]) {
        let least = if self.storage == Storage::F32 { 40.0 } else { 30.0 };
        let psnr = crate::common::psnr(got, expected);
        self.row(name, &format!("{psnr:.1} dB"), &format!("{least} dB"), psnr >= least);
        if self.self_check {
            let wrong: Vec<u8> = expected.iter().map(|value| value ^ 16).collect();
            let psnr = crate::common::psnr(got, &wrong);
            let what = format!("a picture that is 16 levels off, at {psnr:.1} dB");
            self.verdict(name, &what, psnr < least);
        }
    }

    /// Reports whether the comparison rejects a wrong value.
    pub fn detects(&mut self, module: &str, what: &str, error: f64) {
        let detected = error > self.tolerance();
        self.verdict(module, &format!("{what}, by {error:.1e}"), detected);
    }

    fn verdict(&mut self, module: &str, what: &str, detected: bool) {
        eprintln!("{module}: {what}: {}", if detected { "detected" } else { "NOT detected" });
        self.failed += usize::from(!detected);
        self.started = Instant::now();
    }

    fn row(&mut self, module: &str, difference: &str, allowed: &str, passed: bool) {
        let Report { device, family, storage, .. } = self;
        let seconds = self.started.elapsed().as_secs_f64();
        let verdict = if passed { "" } else { " **beyond**" };
        println!(
            "| {family} | {device} | {storage} | {module} | {difference}{verdict} | {allowed} | \
             {seconds:.1} |"
        );
        self.failed += usize::from(!passed);
        self.started = Instant::now();
    }
}
