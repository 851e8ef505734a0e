//! The pictures of a sheet, all read and checked before the first one is drawn.

use super::axes::Axes;
use crate::cli::additions::LoraFile;
use crate::cli::loaded::changes_model;
use crate::cli::settings::{self, Layer};
use crate::cli::terminal::note;
use crate::cli::txt2img::Arguments;
use crate::cli::wording::Wording;
use clap::Command;
use croquis::diffusion::Model;
use croquis::{Error, ErrorKind, Result};

/// The pictures of a sheet.
pub struct Plan {
    /// The pictures, row by row.
    pub cells: Vec<Cell>,
    /// The order in which they are drawn: those with the same models one after another.
    pub order: Vec<usize>,
    /// The greatest width and the greatest height.
    pub size: [usize; 2],
}

/// A picture of a sheet.
pub struct Cell {
    pub arguments: Arguments,
    pub wording: Wording,
    /// All settings that the arguments come from.
    pub settings: Layer,
    pub seed: u64,
}

impl Plan {
    /// Reads the pictures of all combinations and checks that their models can draw them.
    ///
    /// # Errors
    /// Those of reading and checking a request, with the name of the picture.
    pub fn new(axes: &Axes, command: &Command, explicit: &Layer, layers: &[Layer]) -> Result<Plan> {
        let named = |index: usize| format!("--grid: {}", axes.name(index));
        let mut cells: Vec<Cell> = Vec::new();
        let mut groups: Vec<(Layer, Vec<LoraFile>)> = Vec::new();
        let mut group_of = Vec::new();
        for index in 0..axes.len() {
            let own = axes.settings(command, index);
            let cell = Cell::read(own, command, explicit, layers)
                .map_err(|error| error.context(named(index)))?;
            let group = (cell.settings.of(command, changes_model), cell.wording.loras.clone());
            group_of.push(groups.iter().position(|known| *known == group).unwrap_or_else(|| {
                groups.push(group);
                groups.len() - 1
            }));
            cells.push(cell);
        }
        let mut order: Vec<usize> = (0..cells.len()).collect();
        order.sort_by_key(|index| group_of[*index]);
        let mut size = [0, 0];
        let mut opened: Option<(usize, Model)> = None;
        for &index in &order {
            let (cell, group) = (&cells[index], group_of[index]);
            let [width, height] =
                cell.size(group, &mut opened).map_err(|error| error.context(named(index)))?;
            size = [size[0].max(width), size[1].max(height)];
        }
        Ok(Plan { cells, order, size })
    }
}

impl Cell {
    fn read(own: Layer, command: &Command, explicit: &Layer, layers: &[Layer]) -> Result<Cell> {
        let (arguments, notes): (Arguments, _) =
            settings::read(&own.over(command, explicit), layers)?;
        notes.iter().for_each(note);
        if arguments.prompt.as_deref() == Some("-") {
            let message =
                "prompt: expected a text, got `-`: an axis is not read from standard input";
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let wording = arguments.wording()?;
        let seed = arguments.noise.seeds()?[0];
        let settings = own.over_all(command, explicit, layers);
        Ok(Cell { arguments, wording, settings, seed })
    }

    /// Width and height of the picture, if its model can draw it. `opened` has the model of the last
    /// picture that was checked.
    fn size(&self, group: usize, opened: &mut Option<(usize, Model)>) -> Result<[usize; 2]> {
        let model = match opened {
            Some((of, model)) if *of == group => model,
            other => &mut other.insert((group, self.arguments.open(&self.wording)?)).1,
        };
        let request = self.arguments.request(model, &self.wording)?;
        model.picture_size(&request)
    }
}
