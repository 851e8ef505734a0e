//! The syntax of prompts, as in AUTOMATIC1111's stable-diffusion-webui.
//!
//! A prompt is read from the outside to the inside: [`split_lora_tags`] takes out the tags for LoRAs,
//! [`split_and`] divides it at `AND` into prompts that are composed, [`schedule`] reads prompt editing,
//! which gives a text for every step, and [`parse`] reads the weights and breaks of such a text.

mod composition;
mod editing;
mod emphasis;
mod limits;
mod tags;
mod words;

pub use composition::split_and;
pub use editing::{Schedule, schedule};
pub use emphasis::{PromptPart, parse};
pub use limits::{MAX_CHARACTERS, check_length};
pub use tags::{LoraTag, find_tag, split_lora_tags};
