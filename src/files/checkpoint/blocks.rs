//! The blocks of a UNet, and their names in the original implementation and in diffusers.
//!
//! The original implementation (CompVis' `openaimodel.py`, "LDM" for the paper's latent diffusion
//! models) counts blocks through: `input_blocks.0` is the first convolution, then every ResBlock,
//! with its attention, and every downsampler is one more. diffusers counts levels, and layers in
//! each. Which number is which follows from the names that are there, so that distilled models
//! with fewer layers or levels need no case of their own.

use std::collections::{BTreeMap, BTreeSet};

/// The blocks of a UNet: its levels with their ResBlocks, attentions and resamplers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnetLayout {
    /// The levels on the way down, outermost first.
    pub down: Vec<UnetLevel>,
    /// ResBlocks in the middle: two, one (SSD-1B) or none (BK-SDM).
    pub middle_resnets: usize,
    /// Attentions in the middle.
    pub middle_attentions: usize,
    /// The levels on the way up, innermost first.
    pub up: Vec<UnetLevel>,
}

/// One resolution of a UNet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnetLevel {
    /// For each layer, which is a ResBlock, whether an attention follows it.
    pub attentions: Vec<bool>,
    /// Whether a downsampler or an upsampler ends the level.
    pub resampler: bool,
}

/// The layers inside a ResBlock: LDM's name, diffusers' name.
pub const RESNET: [(&str, &str); 6] = [
    ("in_layers.0", "norm1"),
    ("in_layers.2", "conv1"),
    ("emb_layers.1", "time_emb_proj"),
    ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"),
    ("skip_connection", "conv_shortcut"),
];

/// Layers outside of the blocks: LDM's name, diffusers' name.
const AROUND: [(&str, &str); 8] = [
    ("time_embed.0", "time_embedding.linear_1"),
    ("time_embed.2", "time_embedding.linear_2"),
    // Guidance as an input (LCM) came later; converters leave its name as it is.
    ("time_embedding.cond_proj", "time_embedding.cond_proj"),
    ("label_emb.0.0", "add_embedding.linear_1"),
    ("label_emb.0.2", "add_embedding.linear_2"),
    ("input_blocks.0.0", "conv_in"),
    ("out.0", "conv_norm_out"),
    ("out.2", "conv_out"),
];

impl UnetLayout {
    /// Reads the blocks from LDM's names, such as `input_blocks.4.1.norm.weight`, which start at the
    /// UNet: without `model.diffusion_model.`. Blocks after a gap in the numbers are left out.
    pub fn from_ldm<'n>(names: impl IntoIterator<Item = &'n str>) -> UnetLayout {
        let mut parts: BTreeMap<(&str, usize), BTreeSet<[&str; 2]>> = BTreeMap::new();
        for name in names {
            let mut words = name.split('.');
            let side = words.next().unwrap_or_default();
            let number = words.next().and_then(|word| word.parse().ok());
            if let (Some(number), Some(part)) = (number, words.next()) {
                let inside = words.next().unwrap_or_default();
                parts.entry((side, number)).or_default().insert([part, inside]);
            }
        }
        let levels = |side: &'static str, first: usize| {
            let blocks = (first..).map_while(|number| parts.get(&(side, number)));
            let mut levels = vec![UnetLevel::default()];
            for block in blocks {
                let Some(level) = levels.last_mut() else { break };
                let downsampler = block.contains(&["0", "op"]);
                if !downsampler {
                    let attention = block.iter().any(|[part, x]| *part == "1" && *x != "conv");
                    level.attentions.push(attention);
                }
                level.resampler = downsampler || block.iter().any(|[_, inside]| *inside == "conv");
                if level.resampler {
                    levels.push(UnetLevel::default());
                }
            }
            levels.retain(|level| *level != UnetLevel::default());
            levels
        };
        let middle = (0..).take_while(|number| parts.contains_key(&("middle_block", *number)));
        let middle = middle.count();
        UnetLayout {
            down: levels("input_blocks", 1),
            middle_resnets: middle.div_ceil(2),
            middle_attentions: middle / 2,
            up: levels("output_blocks", 0),
        }
    }

    /// Reads the blocks from diffusers' names, such as `down_blocks.1.attentions.0.norm.weight`.
    pub fn from_diffusers<'n>(names: impl IntoIterator<Item = &'n str>) -> UnetLayout {
        let mut blocks = BTreeSet::new();
        for name in names {
            let mut words = name.split('.').peekable();
            let side = words.next().unwrap_or_default();
            // The middle has one level, which has no number.
            let number = words.peek().and_then(|word| word.parse::<usize>().ok());
            if number.is_some() {
                words.next();
            }
            let kind = words.next().unwrap_or_default();
            let layer = words.next().and_then(|word| word.parse::<usize>().ok());
            if let Some(layer) = layer {
                blocks.insert((side, number, kind, layer));
            }
        }
        let count = |side, number, kind| {
            (0..).take_while(|layer| blocks.contains(&(side, number, kind, *layer))).count()
        };
        let levels = |side, resampler| {
            let level = |number| {
                let layers = count(side, number, "resnets");
                let has = |layer| blocks.contains(&(side, number, "attentions", layer));
                let attentions = (0..layers).map(has).collect();
                UnetLevel { attentions, resampler: count(side, number, resampler) > 0 }
            };
            (0..).map(Some).map(level).take_while(|level| *level != UnetLevel::default()).collect()
        };
        UnetLayout {
            down: levels("down_blocks", "downsamplers"),
            middle_resnets: count("mid_block", None, "resnets"),
            middle_attentions: count("mid_block", None, "attentions"),
            up: levels("up_blocks", "upsamplers"),
        }
    }

    /// The names of the UNet's parts: LDM's, such as `input_blocks.4.1`, and diffusers', such as
    /// `down_blocks.1.attentions.0`. Inside a ResBlock the names differ as listed in [`RESNET`];
    /// inside an attention they are the same.
    pub fn block_names(&self) -> Vec<(String, String)> {
        let mut names: Vec<(String, String)> =
            AROUND.iter().map(|(ldm, ours)| (ldm.to_string(), ours.to_string())).collect();
        let mut block = 1;
        for (number, level) in self.down.iter().enumerate() {
            let (ldm, ours) = ("input_blocks", format!("down_blocks.{number}"));
            block = level.layer_names(ldm, block, &ours, &mut names);
            if level.resampler {
                names.push((format!("{ldm}.{block}.0.op"), format!("{ours}.downsamplers.0.conv")));
                block += 1;
            }
        }
        for index in 0..self.middle_resnets {
            let ours = format!("mid_block.resnets.{index}");
            names.push((format!("middle_block.{}", 2 * index), ours));
        }
        for index in 0..self.middle_attentions {
            let ours = format!("mid_block.attentions.{index}");
            names.push((format!("middle_block.{}", 2 * index + 1), ours));
        }
        let mut block = 0;
        for (number, level) in self.up.iter().enumerate() {
            let (ldm, ours) = ("output_blocks", format!("up_blocks.{number}"));
            block = level.layer_names(ldm, block, &ours, &mut names);
            if level.resampler && block > 0 {
                // An upsampler is the last part of the level's last block.
                let part = 1 + usize::from(level.attentions.last() == Some(&true));
                let ldm = format!("{ldm}.{}.{part}.conv", block - 1);
                names.push((ldm, format!("{ours}.upsamplers.0.conv")));
            }
        }
        names
    }
}

impl UnetLevel {
    /// Adds the names of the level's layers, starting at LDM's block `first`; returns the number of
    /// the block after them.
    fn layer_names(
        &self,
        ldm: &str,
        first: usize,
        ours: &str,
        names: &mut Vec<(String, String)>,
    ) -> usize {
        for (layer, attention) in self.attentions.iter().enumerate() {
            let block = first + layer;
            names.push((format!("{ldm}.{block}.0"), format!("{ours}.resnets.{layer}")));
            if *attention {
                names.push((format!("{ldm}.{block}.1"), format!("{ours}.attentions.{layer}")));
            }
        }
        first + self.attentions.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One name of every part, in either naming.
    fn renamed(layout: &UnetLayout) -> UnetLayout {
        let names = layout.block_names();
        let ldm: Vec<String> = names.iter().map(|(ldm, _)| format!("{ldm}.x.weight")).collect();
        let ours: Vec<String> = names.iter().map(|(_, ours)| format!("{ours}.weight")).collect();
        let from_ldm = UnetLayout::from_ldm(ldm.iter().map(String::as_str));
        assert_eq!(UnetLayout::from_diffusers(ours.iter().map(String::as_str)), from_ldm);
        from_ldm
    }

    fn level(attentions: &[bool], resampler: bool) -> UnetLevel {
        UnetLevel { attentions: attentions.to_vec(), resampler }
    }

    #[test]
    fn stable_diffusion_1() {
        let (with, without) = ([true; 2], [false; 2]);
        let layout = UnetLayout {
            down: vec![
                level(&with, true),
                level(&with, true),
                level(&with, true),
                level(&without, false),
            ],
            middle_resnets: 2,
            middle_attentions: 1,
            up: vec![
                level(&[false; 3], true),
                level(&[true; 3], true),
                level(&[true; 3], true),
                level(&[true; 3], false),
            ],
        };
        assert_eq!(renamed(&layout), layout);
        let names: BTreeMap<_, _> = layout.block_names().into_iter().collect();
        for (ldm, ours) in [
            ("input_blocks.4.1", "down_blocks.1.attentions.0"),
            ("input_blocks.6.0.op", "down_blocks.1.downsamplers.0.conv"),
            ("input_blocks.11.0", "down_blocks.3.resnets.1"),
            ("middle_block.2", "mid_block.resnets.1"),
            ("output_blocks.2.1.conv", "up_blocks.0.upsamplers.0.conv"),
            ("output_blocks.5.2.conv", "up_blocks.1.upsamplers.0.conv"),
            ("output_blocks.11.1", "up_blocks.3.attentions.2"),
        ] {
            assert_eq!(names.get(ldm).map(String::as_str), Some(ours), "{ldm}");
        }
    }

    #[test]
    fn fewer_layers_and_no_middle() {
        let layout = UnetLayout {
            down: vec![level(&[true], true), level(&[true], false)],
            middle_resnets: 0,
            middle_attentions: 0,
            up: vec![level(&[true; 2], true), level(&[true; 2], false)],
        };
        assert_eq!(renamed(&layout), layout);
        let one = UnetLayout { middle_resnets: 1, ..layout };
        assert_eq!(renamed(&one), one);
    }

    #[test]
    fn numbers_of_a_damaged_file_are_harmless() {
        let names = ["input_blocks.18446744073709551615.0.op", "input_blocks..", "down_blocks.9.x"];
        assert_eq!(UnetLayout::from_ldm(names), UnetLayout::default());
        assert_eq!(UnetLayout::from_diffusers(names), UnetLayout::default());
    }
}
