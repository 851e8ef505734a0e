//! Options for the prompts and how they are read.

use clap::Args;
use croquis::diffusion::Request;

/// Options for the prompts, beside the prompt itself.
#[derive(Args)]
#[command(next_help_heading = "Prompt")]
pub struct PromptOptions {
    /// The negative prompt: what the picture should not show
    #[arg(short, long, value_name = "S", default_value = "", allow_hyphen_values = true)]
    negative_prompt: String,
    /// The last layer of the text encoder to use, counted from the end: 1 is the model's own, 2 the
    /// one before
    #[arg(long, value_name = "N")]
    clip_skip: Option<usize>,
    /// Read brackets in prompts as text, not as weights like (word:1.2)
    #[arg(long)]
    plain_prompts: bool,
}

impl PromptOptions {
    /// Sets the options in a request.
    pub fn apply(&self, request: &mut Request) {
        request.negative_prompt = self.negative_prompt.clone();
        request.clip_skip = self.clip_skip;
        request.plain_prompts = self.plain_prompts;
    }
}
