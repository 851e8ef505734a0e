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
    /// The prompt for the second text encoder (SDXL) [default: the prompt]
    #[arg(long, value_name = "S", allow_hyphen_values = true)]
    prompt_2: Option<String>,
    /// The negative prompt for the second text encoder (SDXL) [default: the negative prompt]
    #[arg(long, value_name = "S", allow_hyphen_values = true)]
    negative_prompt_2: Option<String>,
    /// The last layer of the text encoder to use, counted from the end: 1 is the model's own, 2 the
    /// one before
    #[arg(long, value_name = "N")]
    clip_skip: Option<usize>,
    /// Read prompts as text: no weights like (word:1.2), no prompt editing, no AND, no <lora:...>
    #[arg(long)]
    pub plain_prompts: bool,
    /// Where a chunk of a long prompt is full, the words after its last comma move to the next one if
    /// the comma is among so many last tokens [default: 20]
    #[arg(long, value_name = "N")]
    comma_backtrack: Option<usize>,
}

impl PromptOptions {
    /// Sets the options in a request.
    pub fn apply(&self, request: &mut Request) {
        request.negative_prompt = self.negative_prompt.clone();
        request.prompt_2 = self.prompt_2.clone();
        request.negative_prompt_2 = self.negative_prompt_2.clone();
        request.clip_skip = self.clip_skip;
        request.plain_prompts = self.plain_prompts;
        request.comma_backtrack = self.comma_backtrack;
    }
}
