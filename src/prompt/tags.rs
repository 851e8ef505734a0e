//! Tags for LoRAs in prompts, `<lora:name:weight>`, as in AUTOMATIC1111's web UI
//! (`modules/extra_networks.py` and its extension `Lora`).

use crate::error::{Error, ErrorKind, Result};

/// A LoRA that a prompt names.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraTag {
    /// The name: that of a file without its ending.
    pub name: String,
    /// The weight of its changes of the text encoders.
    pub text_encoder: f32,
    /// The weight of its changes of the denoiser; as that of the text encoders where the tag has one
    /// number.
    pub denoiser: f32,
}

/// Takes the tags `<lora:name>`, `<lora:name:weight>` and `<lora:name:text_encoder:denoiser>` out of a
/// prompt; also with `lyco` for `lora`. Without a number, the weight is 1; the weights may be named,
/// `te=` and `unet=`. Everything else remains as it is.
///
/// # Errors
/// `Argument` for a tag without a name, or with anything but finite numbers after it.
///
/// ```
/// let (prompt, tags) = croquis::split_lora_tags("a cat <lora:flat:0.5>, red")?;
/// assert_eq!(prompt, "a cat , red");
/// assert_eq!((tags[0].name.as_str(), tags[0].denoiser), ("flat", 0.5));
/// # Ok::<(), croquis::Error>(())
/// ```
pub fn split_lora_tags(prompt: &str) -> Result<(String, Vec<LoraTag>)> {
    let (mut text, mut tags) = (String::new(), Vec::new());
    let mut rest = prompt;
    while let Some((before, kind, arguments, after)) = next_tag(rest) {
        text.push_str(before);
        match kind {
            "lora" | "lyco" => tags.push(LoraTag::parse(arguments)?),
            _ => text.push_str(&rest[before.len()..rest.len() - after.len()]),
        }
        rest = after;
    }
    text.push_str(rest);
    Ok((text, tags))
}

/// The first tag of a kind that the web UI knows.
pub fn find_tag(prompt: &str) -> Option<&str> {
    let mut rest = prompt;
    while let Some((before, kind, _, after)) = next_tag(rest) {
        if ["lora", "lyco", "hypernet"].contains(&kind) {
            return Some(&rest[before.len()..rest.len() - after.len()]);
        }
        rest = after;
    }
    None
}

/// The next `<kind:arguments>`: the text before it, kind, arguments, the text after it.
fn next_tag(text: &str) -> Option<(&str, &str, &str, &str)> {
    let last = text.rfind('>')?;
    let mut search = 0;
    while let Some(at) = text[search..last].find('<').map(|at| search + at) {
        search = at + 1;
        let inside = &text[search..];
        let end = inside.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        let Some(arguments) = inside[end..].strip_prefix(':').filter(|_| end > 0) else { continue };
        let Some((arguments, after)) = arguments.split_once('>') else { continue };
        if !arguments.is_empty() {
            return Some((&text[..at], &inside[..end], arguments, after));
        }
    }
    None
}

impl LoraTag {
    fn parse(arguments: &str) -> Result<LoraTag> {
        let bad = |expected: &str, got: &str| {
            let message = format!("<lora:{arguments}>: expected {expected}, got {got:?}");
            Error::new(ErrorKind::Argument, message)
        };
        let mut items = arguments.split(':');
        let name = items.next().unwrap_or_default().trim();
        if name.is_empty() {
            return Err(bad("the name of a file", name));
        }
        let (mut text_encoder, mut denoiser) = (None, None);
        for item in items {
            let (place, number) = match item.split_once('=') {
                Some(("te", number)) => (&mut text_encoder, number),
                Some(("unet", number)) => (&mut denoiser, number),
                Some(_) => return Err(bad("te= or unet=", item)),
                None if text_encoder.is_none() => (&mut text_encoder, item),
                None if denoiser.is_none() => (&mut denoiser, item),
                None => return Err(bad("at most two weights", item)),
            };
            let value = number.trim().parse().ok().filter(|value: &f32| value.is_finite());
            *place = Some(value.ok_or_else(|| bad("a number", number))?);
        }
        let text_encoder = text_encoder.unwrap_or(1.0);
        let denoiser = denoiser.unwrap_or(text_encoder);
        Ok(LoraTag { name: name.into(), text_encoder, denoiser })
    }
}
