//! The spelling of names that other programs write differently.

/// A name without what programs write differently: capitals, separators, `pp` for `++`, and the
/// prefix `k_` of k-diffusion's samplers.
pub(super) fn plain(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    let name = name.strip_prefix("k_").unwrap_or(&name);
    let letters: String =
        name.chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-')).collect();
    letters.replace("dpmpp", "dpm++").replace("cfgpp", "cfg++")
}
