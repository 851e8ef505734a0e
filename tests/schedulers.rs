//! The samplers against diffusers: every step of every case in `golden/schedulers.json` and
//! `golden/solvers.json`.
//!
//! Agreement is within `TOLERANCE` of the largest value of a step. Diffusers evaluates each step
//! as a chain of f32 operations and this crate as one sum of products, so single steps differ by a
//! few ulps (6·10⁻⁸), more where x₀ = (x − √(1−ᾱ)·ε)/√ᾱ cancels, and runs accumulate it. Measured:
//! 2·10⁻⁶ at most, 5·10⁻⁶ for Euler and Heun from σ in the thousands.
//!
//! The exception is Euler's first step from σ = 4096 (`rescale_betas_zero_snr`): a sample of
//! thousands becomes one below 20, and diffusers subtracts where this crate multiplies by σ'/σ.

use std::collections::BTreeMap;

use croquis::error::ErrorKind;
use croquis::internal::random::Generator;
use croquis::internal::schedulers::{
    History, Keep, Next, Schedule, SchedulerConfig, SchedulerKind, Spacing,
};
use serde::Deserialize;
use serde_json::{Map, Value};

const TOLERANCE: f32 = 1e-5;
const TOLERANCE_FROM_4096: f32 = 2e-4;

#[derive(Deserialize)]
struct Golden {
    seed: u64,
    lanes: Vec<usize>,
    configs: BTreeMap<String, Map<String, Value>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    kind: String,
    config: String,
    change: Map<String, Value>,
    steps: usize,
    strength: Option<f32>,
    eta: Option<f32>,
    initial_scale: f32,
    timesteps: Vec<f32>,
    samples: Vec<Vec<f32>>,
    original: Vec<f32>,
    noising: Vec<Option<[f32; 2]>>,
}

/// The result of the comparisons: the failures, and the largest error.
#[derive(Default)]
struct Report {
    failures: Vec<String>,
    tolerance: f32,
    /// The largest error in units of its tolerance.
    worst: f32,
}

impl Report {
    /// Compares relative to the largest wanted value.
    fn compare(&mut self, what: &str, got: &[f32], want: &[f32]) {
        let scale = want.iter().fold(f32::MIN_POSITIVE, |max, value| max.max(value.abs()));
        let error = got.iter().zip(want).map(|(got, want)| (got - want).abs() / scale);
        let error = error.fold(0.0, |max, e| if e > max || e.is_nan() { e } else { max });
        self.worst = self.worst.max(error / self.tolerance);
        if error.is_nan() || error > self.tolerance || got.len() != want.len() {
            self.failures.push(format!("{what}: error {error:e}\n  got  {got:?}\n  want {want:?}"));
        }
    }
}

fn golden() -> Golden {
    let read = |name: &str| -> Golden {
        let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let (mut golden, more) = (read("schedulers.json"), read("solvers.json"));
    assert_eq!((golden.seed, &golden.lanes), (more.seed, &more.lanes));
    golden.configs.extend(more.configs);
    golden.cases.extend(more.cases);
    golden
}

fn schedule(golden: &Golden, case: &Case) -> croquis::Result<Schedule> {
    let mut config = golden.configs[&case.config].clone();
    config.extend(case.change.clone());
    let mut config = SchedulerConfig::from_json(&Value::Object(config).to_string())?;
    config.eta = case.eta;
    let schedule = config.schedule_from(case.kind.parse()?, case.steps)?;
    case.strength.map_or(Ok(schedule.clone()), |strength| schedule.starting_at(strength))
}

/// Runs a case with the model of `make_schedulers.py`, after `tamper` changed its schedule.
fn run(golden: &Golden, case: &Case, tamper: &dyn Fn(&mut Schedule), report: &mut Report) {
    let Case { kind, config, change, steps, strength, eta, .. } = case;
    let change = Value::Object(change.clone());
    let name = format!("{kind} {config} {change} steps {steps} strength {strength:?} eta {eta:?}");
    let from_4096 = kind.starts_with("euler") && name.contains("rescale_betas_zero_snr");
    report.tolerance = if from_4096 { TOLERANCE_FROM_4096 } else { TOLERANCE };
    let mut schedule = match schedule(golden, case) {
        Ok(schedule) => schedule,
        Err(error) => return report.failures.push(format!("{name}: {error}")),
    };
    tamper(&mut schedule);
    report.compare(&format!("{name}: scale"), &[schedule.initial_scale], &[case.initial_scale]);
    let timesteps: Vec<f32> = schedule.steps.iter().map(|step| step.timestep).collect();
    report.compare(&format!("{name}: timesteps"), &timesteps, &case.timesteps);

    let ramp: Vec<f32> = (0..16).map(|i| (i as f32 - 7.5) / 10.0).collect();
    let mut generator = Generator::new(golden.seed);
    let mut x = generator.normal(ramp.len());
    for (x, ramp) in x.iter_mut().zip(&ramp) {
        let [image, noise] = schedule.steps[0].noising;
        *x = match strength {
            Some(_) => image * (-2.0 * ramp) + noise * *x,
            None => schedule.initial_scale * *x,
        };
    }
    let lanes = |x: &[f32]| golden.lanes.iter().map(|&lane| x[lane]).collect::<Vec<f32>>();
    let mut history = History::default();
    for (i, step) in schedule.steps.iter().enumerate() {
        let model =
            |(x, ramp): (&f32, &f32)| 0.3 * (step.input_scale * x) + (step.timestep * 1e-4 + ramp);
        let mut output: Vec<f32> = x.iter().zip(&ramp).map(model).collect();
        let unconditional = output.clone();
        if kind.ends_with("cfg++") {
            // Guidance with the scale 0.6 by a conditional output of 0.5·x − 0.2.
            for (m, x) in output.iter_mut().zip(&x) {
                *m += 0.6 * (0.5 * (step.input_scale * x) - 0.2 - *m);
            }
        }
        if i == 0 && !case.original.is_empty() {
            let all: Vec<f32> = x.iter().zip(&output).map(|(&x, &m)| step.original(x, m)).collect();
            report.compare(&format!("{name}: original"), &lanes(&all), &case.original);
        }
        let noise = step.draws_noise.then(|| generator.normal(x.len()));
        step.apply(&mut x, &output, &unconditional, noise.as_deref(), &mut history).unwrap();
        let at = format!("{name}: step {i}");
        report.compare(&at, &lanes(&x), case.samples.get(i).map_or(&[], Vec::as_slice));
        match case.noising.get(i) {
            Some(Some(noising)) => {
                report.compare(&format!("{at}: noising"), &step.noising, noising);
            }
            // No run starts in the middle of a step.
            Some(None) => assert!(kind.starts_with("dpm") && i % 2 == 1, "{at}: no noising"),
            None => report.failures.push(format!("{at}: one step too many")),
        }
    }
}

#[test]
fn agree_with_diffusers() {
    let golden = golden();
    let mut failures = Vec::new();
    for kind in SchedulerKind::ALL {
        let mut report = Report::default();
        let cases = || golden.cases.iter().filter(|case| case.kind == kind.name());
        cases().for_each(|case| run(&golden, case, &|_| {}, &mut report));
        let count = cases().count();
        assert!(count > 0, "no case for {kind}");
        println!("{kind}: {count} cases, worst error {} of its tolerance", report.worst);
        failures.append(&mut report.failures);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

type Tamper = fn(&mut Schedule);

#[test]
fn a_wrong_coefficient_is_detected() {
    let golden = golden();
    let tampers: [(&str, Tamper); 7] = [
        ("timestep", |plan| plan.steps[1].timestep += 1.0),
        ("initial scale", |plan| plan.initial_scale *= 1.0001),
        ("original", |plan| plan.steps[0].original[1] *= 1.0001),
        ("coefficient", |plan| plan.steps[2].next.original *= 1.0001),
        ("history", |plan| plan.steps[2].keep[0] = Keep::Sample),
        ("noise", |plan| plan.steps[1].draws_noise ^= true),
        ("noising", |plan| plan.steps[3].noising[1] *= 1.0001),
    ];
    let case = |kind: &str| {
        let found = golden.cases.iter().find(|case| case.kind == kind && case.steps == 20);
        found.unwrap()
    };
    for (name, tamper) in tampers {
        let kind = if name == "noise" { "euler-ancestral" } else { "dpm++2m" };
        let mut report = Report::default();
        let without_noise = |plan: &mut Schedule| {
            tamper(plan);
            for step in plan.steps.iter_mut().filter(|step| !step.draws_noise) {
                step.next.noise = 0.0;
            }
        };
        run(&golden, case(kind), &without_noise, &mut report);
        assert!(!report.failures.is_empty(), "{name}: not detected");
    }
}

/// Each non-zero coefficient of a late step, for the samplers with more than one.
#[test]
fn every_coefficient_is_compared() {
    let golden = golden();
    for kind in [
        "heun",
        "dpm++2m-sde",
        "dpm++sde",
        "unipc",
        "tcd",
        "dpm2",
        "dpm2-ancestral",
        "lms",
        "deis",
        "dpm++2s",
        "dpm++3s",
        "dpm++3m",
        "dpm++3m-sde",
        "ddim-cfg++",
        "euler-cfg++",
    ] {
        let long = |case: &&Case| case.kind == kind && case.config == "sd15" && case.steps == 12;
        let case = golden.cases.iter().find(long).unwrap();
        let steps = schedule(&golden, case).unwrap().steps;
        let at = steps.len() - 4;
        let coefficients: [fn(&mut Next) -> &mut f32; 8] = [
            |next| &mut next.sample,
            |next| &mut next.output,
            |next| &mut next.original,
            |next| &mut next.noise,
            |next| &mut next.unconditional,
            |next| &mut next.history[0],
            |next| &mut next.history[1],
            |next| &mut next.history[2],
        ];
        for (i, coefficient) in coefficients.into_iter().enumerate() {
            let mut report = Report::default();
            let value = *coefficient(&mut steps[at].next.clone());
            let off = if value == 0.0 { 0.0 } else { (value.abs() / 1000.0).max(0.001) };
            run(&golden, case, &|p| *coefficient(&mut p.steps[at].next) += off, &mut report);
            assert_eq!(report.failures.is_empty(), value == 0.0, "{kind}: {i} of {at}: {value}");
        }
    }
}

/// `with_spacing` and `with_prediction` equal the keys of the file with that meaning.
#[test]
fn spacings_are_keys_of_the_file() {
    let plan = |config: &SchedulerConfig, kind| config.schedule_from(kind, 6).unwrap().steps;
    let golden = golden();
    let read = |change: &str| {
        let mut keys = golden.configs["sd15"].clone();
        let change: Map<String, Value> = serde_json::from_str(change).unwrap();
        keys.extend(change);
        SchedulerConfig::from_json(&Value::Object(keys).to_string()).unwrap()
    };
    let keys: [&str; 7] = [
        r#"{"timestep_spacing": "leading"}"#,
        r#"{"timestep_spacing": "linspace"}"#,
        r#"{"timestep_spacing": "trailing"}"#,
        r#"{"use_karras_sigmas": true}"#,
        r#"{"use_exponential_sigmas": true}"#,
        r#"{"use_beta_sigmas": true}"#,
        r#"{"use_lu_lambdas": true}"#,
    ];
    // The file's own spacing does not matter.
    let files = ["{}", keys[2], keys[3], keys[4], keys[5], keys[6]];
    for kind in SchedulerKind::ALL {
        let edm = kind.name().starts_with("edm");
        for (spacing, keys) in Spacing::ALL.into_iter().zip(keys) {
            let own = format!(r#"{{"sigma_schedule": "{spacing}"}}"#);
            let keys = if edm { &own } else { keys };
            assert_eq!(spacing.name().parse::<Spacing>().unwrap(), spacing);
            if !kind.spacings().contains(&spacing) {
                let error = read("{}").with_spacing(spacing).schedule_from(kind, 6).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Argument, "{error}");
                let got = format!("got {spacing}");
                assert!(error.to_string().contains(&got), "{error}");
                continue;
            }
            for file in files {
                let change = if file == files[1] && !keys.contains("timestep") {
                    keys.replace('}', r#", "timestep_spacing": "trailing"}"#)
                } else {
                    keys.to_string()
                };
                let got = plan(&read(file).with_spacing(spacing), kind);
                assert_eq!(got, plan(&read(&change), kind), "{kind} {spacing} over {file}");
            }
        }
        let velocity = read(r#"{"prediction_type": "v_prediction"}"#);
        let got = plan(&read("{}").with_prediction("v_prediction").unwrap(), kind);
        assert_eq!(got, plan(&velocity, kind), "{kind}");
        assert_ne!(got, plan(&read("{}"), kind), "{kind}");
    }
    assert_eq!("trailing".parse::<Spacing>().unwrap(), Spacing::Trailing);
    assert_eq!("SGM Uniform".parse::<Spacing>().unwrap(), Spacing::Trailing);
    let error = "normal".parse::<Spacing>().unwrap_err();
    assert!(error.to_string().contains("karras, exponential, beta, lu, got"), "{error}");
    let error = read("{}").with_prediction("flow").unwrap_err();
    assert!(error.to_string().contains("v_prediction, sample, got \"flow\""), "{error}");
}

/// No step reads a history slot before it was written, for any sampler, step count and start.
#[test]
fn history_is_kept_before_it_is_read() {
    let golden = golden();
    for case in &golden.cases {
        let mut kept = [false; croquis::internal::schedulers::HISTORY];
        for (i, step) in schedule(&golden, case).unwrap().steps.iter().enumerate() {
            for (slot, kept) in kept.iter_mut().enumerate() {
                let reads = step.next.history[slot] != 0.0;
                assert!(!reads || *kept, "{} {} step {i} slot {slot}", case.kind, case.steps);
                *kept |= step.keep[slot] != Keep::Nothing;
            }
        }
    }
}
