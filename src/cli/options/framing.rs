//! Options for the sizes that SDXL reads beside the prompt.

use clap::Args;
use croquis::diffusion::{Framing, Request};

/// Options for SDXL's micro-conditioning.
#[derive(Args)]
#[command(next_help_heading = "Sizes that SDXL reads beside the prompt")]
pub struct FramingOptions {
    /// The size of the picture before scaling and cropping [default: the picture's]
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    original_size: Option<[usize; 2]>,
    /// Left and top of the crop [default: 0,0]
    #[arg(long, value_name = "X,Y", value_parser = parse_crop)]
    crop: Option<[usize; 2]>,
    /// The size after cropping [default: the picture's]
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    target_size: Option<[usize; 2]>,
    /// --original-size for the negative prompt; with one of these, the others have their defaults
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    negative_original_size: Option<[usize; 2]>,
    /// --crop for the negative prompt
    #[arg(long, value_name = "X,Y", value_parser = parse_crop)]
    negative_crop: Option<[usize; 2]>,
    /// --target-size for the negative prompt
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    negative_target_size: Option<[usize; 2]>,
}

impl FramingOptions {
    /// Sets the options in a request.
    pub fn apply(&self, request: &mut Request) {
        let framing = |original_size, crop: Option<_>, target_size| Framing {
            original_size,
            crop: crop.unwrap_or_default(),
            target_size,
        };
        request.framing = framing(self.original_size, self.crop, self.target_size);
        let negative = [self.negative_original_size, self.negative_crop, self.negative_target_size];
        let [original_size, crop, target_size] = negative;
        let any = negative.iter().any(Option::is_some);
        request.negative_framing = any.then(|| framing(original_size, crop, target_size));
    }
}

/// Parses `WxH` as height and width.
fn parse_size(text: &str) -> Result<[usize; 2], String> {
    parse(text, 'x').ok_or_else(|| "expected width and height, such as 1024x768".into())
}

/// Parses `X,Y` as top and left.
fn parse_crop(text: &str) -> Result<[usize; 2], String> {
    parse(text, ',').ok_or_else(|| "expected left and top, such as 16,0".into())
}

/// The numbers before and behind a separator, in reverse.
fn parse(text: &str, separator: char) -> Option<[usize; 2]> {
    let (first, second) = text.split_once(separator)?;
    Some([second.trim().parse().ok()?, first.trim().parse().ok()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_come_before_widths() {
        assert_eq!(parse_size("1024x768"), Ok([768, 1024]));
        assert_eq!(parse_crop("16, 8"), Ok([8, 16]));
        for text in ["", "1024", "x", "1x2x3", "-1x2"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
