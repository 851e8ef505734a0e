//! The values of a denoiser's inputs that stay the same in all steps.

use super::graph::PER_STEP;
use super::programs::Programs;
use crate::components::text::TextEmbeddings;
use crate::error::{Error, ErrorKind, Result};
use crate::gpu::Program;
use crate::graph::Port;
use std::collections::BTreeMap;

/// Values by the names of inputs, such as `context` or `timesteps`; those that a network does not
/// read are ignored.
#[derive(Default)]
pub struct Conditions(BTreeMap<String, Vec<f32>>);

impl Conditions {
    /// Sets the values of an input.
    pub fn set(&mut self, name: impl Into<String>, values: Vec<f32>) {
        self.0.insert(name.into(), values);
    }

    /// Sets the text embeddings of a batch, whose items are texts by index.
    pub fn set_texts(&mut self, texts: &TextEmbeddings, batch: &[usize]) {
        let rows = |values: &[f32]| {
            let length = values.len() / texts.count.max(1);
            batch
                .iter()
                .flat_map(|index| &values[index * length..][..length])
                .copied()
                .collect::<Vec<_>>()
        };
        self.set("context", rows(&texts.values));
        self.set("text_embeds", texts.pooled.as_deref().map(rows).unwrap_or_default());
    }

    /// Writes them to the programs that read them. An input that is `copies` times as long as its
    /// values gets them repeated, once for every evaluation in the batch.
    ///
    /// # Errors
    /// `Argument` if the number of values does not fit, or an input has none.
    pub fn write(&self, programs: &Programs, copies: usize) -> Result<()> {
        let Programs { prepare, step } = programs;
        for port in &prepare.plan().inputs {
            self.write_input(prepare, port, copies)?;
        }
        let computed = |name: &str| prepare.plan().output(name).is_some();
        for port in &step.plan().inputs {
            if !PER_STEP.contains(&port.name.as_str()) && !computed(&port.name) {
                self.write_input(step, port, copies)?;
            }
        }
        Ok(())
    }

    /// Writes those of them that the programs read, and leaves all other inputs as they are.
    ///
    /// # Errors
    /// `Argument` if the number of values does not fit.
    pub fn update(&self, programs: &Programs, copies: usize) -> Result<()> {
        for program in [&programs.prepare, &programs.step] {
            for port in &program.plan().inputs {
                if self.0.contains_key(port.name.as_str()) {
                    self.write_input(program, port, copies)?;
                }
            }
        }
        Ok(())
    }

    fn write_input(&self, program: &Program, port: &Port, copies: usize) -> Result<()> {
        let name = port.name.as_str();
        let values = self.0.get(name).map_or(&[][..], Vec::as_slice);
        let (expected, got) = (port.tensor.shape.len(), values.len());
        if got == 0 || (got != expected && got * copies != expected) {
            let message = format!("input {name}: expected {expected} values, got {got}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        program.write(name, &values.repeat(expected / got))
    }
}
