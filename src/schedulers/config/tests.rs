use super::{SchedulerConfig, SchedulerKind, SchedulerKind::*};
use crate::error::ErrorKind;

const NAMED: &str = r#"{"_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear"}"#;

#[test]
fn impossible_values_are_named() {
    let cases = [
        (r#""num_train_timesteps": 0"#, "num_train_timesteps: expected a whole number"),
        (r#""beta_start": -1"#, "beta_start: expected a number from"),
        (r#""beta_end": "x""#, "beta_end: expected a number from"),
        (r#""beta_schedule": "cubic""#, "one of linear, scaled_linear, squaredcos_cap_v2"),
        (r#""trained_betas": [0.1]"#, "trained_betas: expected a list of 1000 numbers"),
        (r#""prediction_type": "flow""#, "epsilon, v_prediction, sample, got \"flow\""),
        (r#""timestep_spacing": 3"#, "timestep_spacing: expected one of leading"),
        (r#""steps_offset": 1000"#, "steps_offset: expected a whole number from 0 to 999"),
        (r#""clip_sample": 1"#, "clip_sample: expected true or false, got 1"),
        (r#""_class_name": 1"#, "_class_name: expected the name"),
    ];
    for (text, message) in cases {
        let error = match SchedulerConfig::from_json(&format!("{{{text}}}")) {
            Ok(config) => config.kind().expect_err(text),
            Err(error) => error,
        };
        assert_eq!(error.kind(), ErrorKind::Config, "{text}: {error}");
        assert!(error.to_string().contains(message), "{text}: {error}");
    }
    for text in ["", "[]", "{\"eta\": "] {
        let error = SchedulerConfig::from_json(text).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Format, "{text}: {error}");
    }
}

#[test]
fn what_cannot_be_done_is_refused() {
    let cases = [
        (Pndm, r#", "skip_prk_steps": false"#, 3, ErrorKind::Argument),
        (Dpm2, r#", "prediction_type": "sample""#, 5, ErrorKind::Unsupported),
        (EdmEuler, r#", "prediction_type": "sample""#, 5, ErrorKind::Unsupported),
        (
            EdmDpmSolver,
            r#", "solver_order": 3, "algorithm_type": "sde-dpmsolver++""#,
            5,
            ErrorKind::Unsupported,
        ),
        (Deis, r#", "thresholding": true"#, 5, ErrorKind::Unsupported),
        (DpmSolver2S, r#", "thresholding": true"#, 5, ErrorKind::Unsupported),
        (DpmSolver3S, r#", "algorithm_type": "dpmsolver""#, 5, ErrorKind::Unsupported),
        (EdmDpmSolver, r#", "thresholding": true"#, 5, ErrorKind::Unsupported),
        (Ddim, r#", "thresholding": true"#, 5, ErrorKind::Unsupported),
        (Ddpm, r#", "variance_type": "learned_range""#, 5, ErrorKind::Unsupported),
        (DpmSolver2M, r#", "algorithm_type": "dpmsolver""#, 5, ErrorKind::Unsupported),
        (EulerAncestral, r#", "prediction_type": "sample""#, 5, ErrorKind::Unsupported),
        (Ddim, r#", "rescale_betas_zero_snr": true, "steps_offset": 199"#, 5, ErrorKind::Config),
        (Lcm, r#", "num_train_timesteps": 10"#, 5, ErrorKind::Config),
        (DpmSolver2M, r#", "lambda_min_clipped": 99"#, 5, ErrorKind::Config),
        (Ddim, r#", "steps_offset": 1"#, 1000, ErrorKind::Argument),
        (Ddim, "", 0, ErrorKind::Argument),
        (Euler, "", 1001, ErrorKind::Argument),
        (Lcm, "", 51, ErrorKind::Argument),
        (Tcd, "", 51, ErrorKind::Argument),
        (
            Heun,
            r#", "use_karras_sigmas": true, "use_exponential_sigmas": true"#,
            5,
            ErrorKind::Unsupported,
        ),
        (DpmSolverSde, r#", "prediction_type": "sample""#, 5, ErrorKind::Unsupported),
        (UniPc, r#", "predict_x0": false"#, 5, ErrorKind::Unsupported),
        (UniPc, r#", "disable_corrector": [0]"#, 5, ErrorKind::Unsupported),
        (UniPc, r#", "thresholding": true"#, 5, ErrorKind::Unsupported),
        // The second-order last step would divide by the infinite λ of σ = 0.
        (UniPc, r#", "lower_order_final": false"#, 5, ErrorKind::Config),
    ];
    for (kind, more, steps, expected) in cases {
        let text = NAMED.replace('}', &format!("{more}}}"));
        let config = SchedulerConfig::from_json(&text).expect(&text);
        let error = config.schedule_from(kind, steps).expect_err(&text);
        assert_eq!(error.kind(), expected, "{kind} {text}: {error}");
    }
    let error = SchedulerConfig::from_json(r#"{"_class_name": "UniPC"}"#).and_then(|c| c.kind());
    assert_eq!(error.expect_err("unknown class").kind(), ErrorKind::Unsupported);
    let error = "ipndm".parse::<SchedulerKind>().expect_err("unknown name");
    assert!(error.to_string().contains("dpm++2m-karras, dpm++2m-sde, dpm++sde, unipc"), "{error}");
}

#[test]
fn infinities_of_python_are_read() {
    let text = NAMED.replace('}', r#", "lambda_min_clipped": -Infinity, "note": "Infinity"}"#);
    let config = SchedulerConfig::from_json(&text).expect(&text);
    assert_eq!(config.schedule(5).map(|plan| plan.steps.len()).ok(), Some(5));
    assert_eq!(config.kind().ok(), Some(Ddim));
}

#[test]
fn noise_of_dpm_solver_is_a_kind() {
    let text = |algorithm: &str| {
        let class = r#"{"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "#;
        format!("{class}{algorithm:?}}}")
    };
    let cases = [("dpmsolver++", DpmSolver2M), ("sde-dpmsolver++", DpmSolver2MSde)];
    for (algorithm, kind) in cases {
        let config = SchedulerConfig::from_json(&text(algorithm)).expect(algorithm);
        assert_eq!(config.kind().ok(), Some(kind));
        // Asked for by name, either reads the other's file.
        for (_, kind) in cases {
            let noisy = config.schedule_from(kind, 5).expect(algorithm).steps[0].draws_noise;
            assert_eq!(noisy, kind == DpmSolver2MSde);
        }
    }
    let other = SchedulerConfig::from_json(&text("sde-dpmsolver")).and_then(|c| c.schedule(5));
    assert_eq!(other.expect_err("another algorithm").kind(), ErrorKind::Unsupported);
}

#[test]
fn noise_is_limited() {
    let mut config = SchedulerConfig::from_json(NAMED).expect(NAMED);
    for eta in [-0.1, 1.1, f32::NAN] {
        config.eta = Some(eta);
        for kind in [Ddim, DdimCfgPp, Tcd] {
            let error = config.schedule_from(kind, 5).expect_err("eta");
            assert_eq!(error.kind(), ErrorKind::Argument, "{kind}: {error}");
        }
        assert!(config.schedule_from(Euler, 5).is_ok());
    }
}

/// Not diffusers' default, which this crate does not have.
#[test]
fn plms_is_what_a_silent_configuration_gets() {
    let plan = SchedulerConfig::from_json(NAMED).and_then(|c| c.schedule_from(Pndm, 10));
    assert_eq!(plan.map(|plan| plan.steps.len()).ok(), Some(11));
}

/// Every number of steps plans that many, or is refused: nothing panics.
#[test]
fn any_number_of_steps() {
    for spacing in ["leading", "trailing", "linspace"] {
        let more = format!(r#", "timestep_spacing": "{spacing}", "skip_prk_steps": true}}"#);
        let config = SchedulerConfig::from_json(&NAMED.replace('}', &more)).expect(spacing);
        for kind in SchedulerKind::ALL {
            for steps in (1..70).chain([103, 250, 333, 499, 500, 501, 999, 1000]) {
                let Ok(plan) = config.schedule_from(kind, steps) else {
                    let few = matches!(kind, Lcm | Tcd) && steps > 50 || steps > 400;
                    assert!(few, "{kind} {spacing} {steps}");
                    continue;
                };
                let more = match kind {
                    Pndm => usize::from(steps > 1),
                    Heun | DpmSolverSde | Dpm2 | Dpm2Ancestral => steps - 1,
                    _ => 0,
                };
                assert_eq!(plan.steps.len(), steps + more, "{kind} {spacing} {steps}");
                let image_to_image = plan.starting_at(0.5).map(|plan| plan.steps.len());
                assert_eq!(image_to_image.is_ok(), steps > 1, "{kind} {spacing} {steps}");
            }
        }
        let plan = config.schedule(10).expect(spacing);
        for strength in [-0.1, 0.0, 0.05, 1.1, f32::NAN] {
            assert!(plan.starting_at(strength).is_err(), "{strength}");
        }
    }
}
