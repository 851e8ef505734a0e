//! The names of an upscaler's weights: those of ESRGAN's first release (`model.1.sub.0.RDB1.conv1.0`),
//! of its second and of BSRGAN (`RRDB_trunk.0.RDB1.conv1`) become those of Real-ESRGAN
//! (`body.0.rdb1.conv1`), all without the prefix of a training run's parameters.

use crate::error::Result;
use crate::weights::{View, Weights};

/// Prefixes of the parameters of a training run; of a file with both, the averaged ones count.
const PREFIXES: [&str; 2] = ["params_ema.", "params."];

/// The weights under Real-ESRGAN's names. Names that are not known stay.
///
/// # Errors
/// `Weights` if two weights would get the same name.
pub(super) fn canonical(weights: Weights) -> Result<Weights> {
    let prefix = PREFIXES.into_iter().find(|prefix| weights.names().any(|n| n.starts_with(prefix)));
    let prefix = prefix.unwrap_or_default();
    let layer = |name: &str| name.strip_prefix(prefix)?.split('.').nth(1)?.parse::<usize>().ok();
    let old = format!("{prefix}model.");
    let last = weights.names().filter(|name| name.starts_with(&old)).filter_map(layer).max();
    let last = last.unwrap_or(0);
    weights.map_names(|name, _| {
        let name = name.strip_prefix(prefix).map(|name| renamed(name, last));
        name.map(|name| (name, View::Whole)).into_iter().collect()
    })
}

/// A name as Real-ESRGAN has it; `last` is the number of the last layer of ESRGAN's first release,
/// which counts upsampling and activations too.
fn renamed(name: &str, last: usize) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let layer = match parts[..] {
        ["model", "1", "sub", block, dense, conv, .., _]
        | ["RRDB_trunk", block, dense, conv, _] => {
            format!("body.{block}.{}.{conv}", dense.to_lowercase())
        }
        ["model", "1", "sub", _, _] | ["trunk_conv", _] => "conv_body".into(),
        ["model", layer, _] => match layer.parse::<usize>() {
            Ok(0) => "conv_first".into(),
            Ok(layer) if layer == last => "conv_last".into(),
            Ok(layer) if layer + 2 == last => "conv_hr".into(),
            Ok(layer) if layer % 3 == 0 => format!("conv_up{}", layer / 3),
            _ => return name.into(),
        },
        ["HRconv", _] => "conv_hr".into(),
        [layer, _] if layer.starts_with("upconv") => layer.replace("upconv", "conv_up"),
        _ => return name.into(),
    };
    format!("{layer}.{}", parts[parts.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::renamed;

    #[test]
    fn every_release_has_the_same_layers() {
        let table = [
            ("model.0.weight", "conv_first.weight"),
            ("model.1.sub.7.RDB2.conv3.0.bias", "body.7.rdb2.conv3.bias"),
            ("model.1.sub.7.RDB2.conv1x1.weight", "body.7.rdb2.conv1x1.weight"),
            ("model.1.sub.23.weight", "conv_body.weight"),
            ("model.3.weight", "conv_up1.weight"),
            ("model.6.bias", "conv_up2.bias"),
            ("model.8.bias", "conv_hr.bias"),
            ("model.10.bias", "conv_last.bias"),
            ("RRDB_trunk.22.RDB3.conv5.weight", "body.22.rdb3.conv5.weight"),
            ("trunk_conv.bias", "conv_body.bias"),
            ("upconv2.weight", "conv_up2.weight"),
            ("HRconv.weight", "conv_hr.weight"),
            ("body.0.rdb1.conv1.weight", "body.0.rdb1.conv1.weight"),
            ("model.5.weight", "model.5.weight"),
            ("model.diffusion_model.out.2.bias", "model.diffusion_model.out.2.bias"),
        ];
        for (name, expected) in table {
            assert_eq!(renamed(name, 10), expected);
        }
        assert_eq!(renamed("model.9.weight", 13), "conv_up3.weight");
    }
}
