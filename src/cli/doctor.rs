//! `croquis doctor`: checks that this machine's GPU computes correctly.

use super::options::GpuOptions;
use super::progress::Meter;
use super::terminal::{print, print_json};
use croquis::Result;
use croquis::doctor::{Check, Report, count, examine_blocking};
use croquis::gpu::Gpu;
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

/// The arguments of `croquis doctor`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    gpu: GpuOptions,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  croquis doctor
  croquis doctor --device 1 --storage packed";

/// Runs the checks; the exit status says whether all passed.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let started = Instant::now();
    let gpu = arguments.gpu.open()?;
    let meter = Meter::counting(count());
    let report = examine_blocking(&gpu, |_| meter.advance());
    drop(meter);
    if arguments.json {
        print_json(&json(&gpu, &report, started.elapsed().as_secs_f64()))?;
    } else {
        print_groups(&report)?;
        print(verdict(&gpu, &report))?;
    }
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn json(gpu: &Gpu, report: &Report, seconds: f64) -> serde_json::Value {
    let check = |check: &Check| {
        serde_json::json!({
            "name": check.name,
            "variant": check.variant,
            "measure": check.measure.name(),
            "error": check.error,
            "tolerance": check.tolerance,
            "passed": check.passed,
            "problem": check.problem,
        })
    };
    serde_json::json!({
        "device": gpu.summary().name,
        "driver": gpu.summary().driver,
        "backend": gpu.summary().backend,
        "storage": gpu.target().storage.name(),
        "passed": report.passed(),
        "seconds": seconds,
        "checks": report.checks.iter().map(check).collect::<Vec<_>>(),
    })
}

/// Prints a line for each kernel and part of the model with its worst result, and one for each
/// failure.
fn print_groups(report: &Report) -> Result<()> {
    for checks in report.checks.chunk_by(|a, b| a.group == b.group) {
        let failures: Vec<_> = checks.iter().filter(|check| !check.passed).collect();
        let status = if failures.is_empty() { "ok" } else { "FAILED" };
        let Some(worst) = checks.iter().max_by(|a, b| a.error.total_cmp(&b.error)) else {
            continue;
        };
        let cases = format!("{} case{}", checks.len(), if checks.len() == 1 { "" } else { "s" });
        let variants: BTreeSet<_> = checks.iter().filter_map(|c| c.variant.as_deref()).collect();
        let variants = variants.into_iter().collect::<Vec<_>>().join(", ");
        let outcome = worst.outcome();
        print(format!("{status:<7} {:<25} {cases:<9} {outcome}  {variants}", worst.group))?;
        for failure in failures {
            print(format!("        {failure}"))?;
        }
    }
    Ok(())
}

fn verdict(gpu: &Gpu, report: &Report) -> String {
    let (device, storage) = (&gpu.summary().name, gpu.target().storage);
    let (checks, failed) = (report.checks.len(), report.failures().count());
    if report.passed() {
        return format!("verdict: {device} with storage {storage} is fine: {checks} checks passed");
    }
    format!(
        "verdict: {device} with storage {storage} computes wrong results: {failed} of {checks} \
         checks failed; update its driver ({}), or try another --storage or --device",
        gpu.summary().driver
    )
}
