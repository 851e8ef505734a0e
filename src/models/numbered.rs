//! Names of networks beside a denoiser and of their inputs, of which there may be several.

/// The name of the first ControlNet, below which its weights are among those of the network that it
/// steers.
pub const CONTROL: &str = "controlnet";

/// The name of the picture that the first ControlNet sees.
pub const PICTURE: &str = "picture";

/// The name of the one at `index` among several of a kind: `name`, `name_1`, `name_2`, …, as diffusers
/// names the folders of several ControlNets.
pub fn numbered(name: &str, index: usize) -> String {
    match index {
        0 => name.into(),
        _ => format!("{name}_{index}"),
    }
}
