//! The sheet: pictures in columns and rows, with labels above and beside them.

use super::axes::{Axes, Axis};
use super::lettering::{CHARACTER, Canvas, LINE, wrapped};
use croquis::picture::Picture;
use croquis::{Error, ErrorKind, Result};

/// The most lines of a label above a column.
const COLUMN_LINES: usize = 3;

/// The most lines and characters of a label beside a row.
const ROW_LINES: usize = 6;
const ROW_CHARACTERS: usize = 16;

/// The fewest characters that a label has room for.
const LEAST_CHARACTERS: usize = 8;

/// The side of pictures, in pixels, for each pixel of the font.
const PICTURE_PER_PIXEL: usize = 256;

/// A sheet whose pictures are put on it one by one.
pub struct Sheet {
    canvas: Canvas,
    layout: Layout,
}

/// Sizes of a sheet, in pixels.
struct Layout {
    /// The side of the font's pixels, by the size of the pictures.
    scale: usize,
    /// The space between all parts.
    gap: usize,
    /// The place of each picture.
    cell: [usize; 2],
    /// Left and top of the first place.
    first: [usize; 2],
    /// The lines of the labels.
    columns: Vec<Vec<String>>,
    rows: Vec<Vec<String>>,
}

impl Layout {
    fn new(axes: &Axes, [width, height]: [usize; 2]) -> Layout {
        let scale = (width.min(height) / PICTURE_PER_PIXEL).max(1);
        let (character, line, gap) = (CHARACTER * scale, LINE * scale, 4 * scale);
        let cell = [width.max(LEAST_CHARACTERS * character), height.max(line)];
        let labels = |axis: &Axis, characters: usize, lines: usize| -> Vec<Vec<String>> {
            let label = |value: &super::axes::AxisValue| format!("{} {}", axis.name, value.label);
            axis.values.iter().map(|value| wrapped(&label(value), characters, lines)).collect()
        };
        let columns = labels(&axes.columns, cell[0] / character, COLUMN_LINES);
        let lines = (cell[1] / line).min(ROW_LINES);
        let rows = axes.rows.as_ref().map(|rows| labels(rows, ROW_CHARACTERS, lines));
        let rows = rows.unwrap_or_default();
        let longest = rows.iter().flatten().map(|line| line.chars().count()).max();
        let left = longest.map_or(gap, |longest| gap + longest * character + gap);
        let above = columns.iter().map(Vec::len).max().unwrap_or_default();
        Layout { scale, gap, cell, first: [left, gap + above * line + gap], columns, rows }
    }

    /// Width and height of the sheet.
    fn size(&self) -> [usize; 2] {
        let counts = [self.columns.len(), self.rows.len().max(1)];
        [0, 1].map(|axis| self.first[axis] + counts[axis] * (self.cell[axis] + self.gap))
    }

    /// Left and top of a place.
    fn corner(&self, place: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| self.first[axis] + place[axis] * (self.cell[axis] + self.gap))
    }
}

impl Sheet {
    /// A white sheet with labels, for pictures of up to a size.
    ///
    /// # Errors
    /// `Argument` if a side would be longer than `longest`; `Memory` if there is not enough.
    pub fn new(axes: &Axes, picture: [usize; 2], longest: usize) -> Result<Sheet> {
        let layout = Layout::new(axes, picture);
        let [width, height] = layout.size();
        if width.max(height) > longest {
            let message = format!(
                "--grid: expected a sheet of at most {longest} pixels a side, got {width}x{height} for \
                 {} pictures of {}x{}",
                axes.len(),
                picture[0],
                picture[1]
            );
            return Err(Error::new(ErrorKind::Argument, message));
        }
        let (bytes, mut rgb) = (3 * width * height, Vec::new());
        rgb.try_reserve_exact(bytes).map_err(|error| {
            let message =
                format!("--grid: no memory for a sheet of {bytes} bytes; fewer pictures would fit");
            Error::new(ErrorKind::Memory, message).with_source(error)
        })?;
        rgb.resize(bytes, 255);
        let mut sheet = Sheet { canvas: Canvas { width, height, rgb }, layout };
        sheet.label();
        Ok(sheet)
    }

    fn label(&mut self) {
        let Layout { scale, gap, cell, .. } = self.layout;
        let line = LINE * scale;
        for (index, label) in self.layout.columns.iter().enumerate() {
            let [left, top] = self.layout.corner([index, 0]);
            let above = top - gap - label.len() * line;
            for (number, text) in label.iter().enumerate() {
                let width = text.chars().count() * CHARACTER * scale;
                let left = left + cell[0].saturating_sub(width) / 2;
                self.canvas.write(text, [left, above + number * line], scale);
            }
        }
        for (index, label) in self.layout.rows.iter().enumerate() {
            let top = self.layout.corner([0, index])[1];
            let above = top + cell[1].saturating_sub(label.len() * line) / 2;
            for (number, text) in label.iter().enumerate() {
                self.canvas.write(text, [gap, above + number * line], scale);
            }
        }
    }

    /// Puts a picture in the middle of a place.
    pub fn put(&mut self, place: [usize; 2], picture: &Picture) {
        let (corner, cell) = (self.layout.corner(place), self.layout.cell);
        let width = picture.width().min(cell[0]);
        let left = corner[0] + (cell[0] - width) / 2;
        let top = corner[1] + cell[1].saturating_sub(picture.height()) / 2;
        for (y, row) in picture.rgb().chunks_exact(3 * picture.width()).take(cell[1]).enumerate() {
            let at = 3 * ((top + y) * self.canvas.width + left);
            self.canvas.rgb[at..at + 3 * width].copy_from_slice(&row[..3 * width]);
        }
    }

    /// Writes into a place that its picture could not be drawn.
    pub fn fail(&mut self, place: [usize; 2]) {
        let Layout { scale, cell, .. } = self.layout;
        let [left, top] = self.layout.corner(place);
        let text = "failed";
        let width = text.len() * CHARACTER * scale;
        let at = [left + (cell[0] - width) / 2, top + (cell[1] - CHARACTER * scale) / 2];
        self.canvas.write(text, at, scale);
    }

    /// The finished sheet.
    pub fn picture(self) -> Result<Picture> {
        Picture::new(self.canvas.width, self.canvas.height, self.canvas.rgb)
    }
}
