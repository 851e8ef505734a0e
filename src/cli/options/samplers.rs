//! The names of samplers and spacings, with those of other programs.

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use croquis::{Result, SchedulerKind, Spacing};
use std::ffi::OsStr;

/// A sampler, and the spacing that its name says, such as `DPM++ 2M SDE Karras`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    pub kind: SchedulerKind,
    pub spacing: Option<Spacing>,
}

impl Sampler {
    /// Parses a sampler's name, or one that ends in a spacing's.
    fn parse(name: &str) -> Result<Sampler> {
        let whole = name.parse().map(|kind| Sampler { kind, spacing: None });
        whole.or_else(|error| {
            let both = |(i, _)| {
                let (kind, spacing) = (&name[..i], name.get(i + 1..)?);
                Some(Sampler { kind: kind.parse().ok()?, spacing: Some(spacing.parse().ok()?) })
            };
            let mut cuts = name.match_indices([' ', '_', '-']);
            cuts.find_map(both).ok_or(error)
        })
    }
}

/// Parses names that a type knows and lists them in the help. For an unknown one it suggests nothing: a
/// name that looks alike can be another sampler's.
#[derive(Clone)]
pub struct Names<T> {
    listed: Vec<&'static str>,
    parse: fn(&str) -> Result<T>,
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Names<T> {
    type Value = T;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> std::result::Result<T, clap::Error> {
        let parse = self.parse;
        StringValueParser::new()
            .try_map(move |name| parse(&name))
            .parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.listed.iter().map(PossibleValue::new)))
    }
}

/// The parser of samplers' names.
pub fn schedulers() -> Names<Sampler> {
    Names { listed: SchedulerKind::ALL.map(SchedulerKind::name).to_vec(), parse: Sampler::parse }
}

/// The parser of spacings' names.
pub fn spacings() -> Names<Spacing> {
    Names { listed: Spacing::ALL.map(Spacing::name).to_vec(), parse: str::parse }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::options::SamplingOptions;
    use clap::Parser;
    use croquis::diffusion::Request;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        options: SamplingOptions,
    }

    fn parse(arguments: &[&str]) -> std::result::Result<Request, String> {
        let arguments = ["croquis"].iter().chain(arguments);
        let command = Command::try_parse_from(arguments).map_err(|error| error.to_string())?;
        let mut request = Request::new("");
        command.options.apply(&mut request);
        Ok(request)
    }

    #[test]
    fn names_may_end_in_a_spacing() {
        use SchedulerKind::{Ddim, DpmSolver2MKarras, DpmSolver2MSde, EulerAncestral};
        let cases = [
            ("DPM++ 2M SDE Karras", DpmSolver2MSde, Some(Spacing::Karras)),
            ("DPM++ 2M SDE SGM Uniform", DpmSolver2MSde, Some(Spacing::Trailing)),
            ("ddim_trailing", Ddim, Some(Spacing::Trailing)),
            ("DPM++ 2M Karras", DpmSolver2MKarras, None),
            ("Euler a", EulerAncestral, None),
        ];
        for (name, kind, spacing) in cases {
            let request = parse(&["--scheduler", name]).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((request.scheduler, request.spacing), (Some(kind), spacing), "{name}");
        }
        let request = parse(&["--scheduler", "Euler Karras", "--spacing", "Beta"]);
        assert_eq!(request.map(|request| request.spacing), Ok(Some(Spacing::Beta)));
    }

    #[test]
    fn unknown_names_list_the_known_and_suggest_none() {
        for (option, name) in [("--scheduler", "dpm++2s_a"), ("--spacing", "karas")] {
            let error = parse(&[option, name]).map(|_| ()).expect_err(name);
            assert!(error.contains(": expected one of") && error.contains(name), "{error}");
            assert!(!error.contains("similar"), "{error}");
        }
        let error = parse(&["--scheduler", "dpm++2s_a"]).map(|_| ()).expect_err("unknown");
        assert!(error.contains("ddim, ddpm, euler, euler-ancestral"), "{error}");
        let help = parse(&["--help"]).map(|_| ()).expect_err("help");
        assert!(help.contains("possible values: ddim, ddpm, euler"), "{help}");
    }
}
