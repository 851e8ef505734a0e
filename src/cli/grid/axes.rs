//! The axes of a contact sheet: options, each with the values that it has in the columns or rows.

use crate::cli::loaded::changes_model;
use crate::cli::settings::{Layer, is_flag, option_name, settable};
use crate::cli::similar::distance;
use clap::Command;
use croquis::{Error, ErrorKind, Result};
use serde_json::Value;

/// The most pictures of a sheet.
const MAX_CELLS: usize = 400;

/// Short names of options, as other programs call them.
const SHORT: [(&str, &str); 3] =
    [("guidance", "guidance-scale"), ("cfg", "guidance-scale"), ("sampler", "scheduler")];

/// The two axes of a sheet. Without a second one, there is one row.
pub struct Axes {
    pub columns: Axis,
    pub rows: Option<Axis>,
}

/// An option and its values.
pub struct Axis {
    /// The long name of the option.
    pub option: String,
    /// The name that the user gave it.
    pub name: String,
    pub values: Vec<AxisValue>,
}

/// A value of an axis.
pub struct AxisValue {
    pub text: String,
    /// The text on the sheet: of a file its name without folders.
    pub label: String,
    /// The setting of the option.
    pub setting: Layer,
}

impl Axes {
    /// Reads axes like `steps=10,20;guidance=3,7`, whose values are checked by the options of a command.
    /// A backslash before `,` and `;` makes them parts of a value.
    ///
    /// # Errors
    /// `Argument`, naming the axis and the value.
    pub fn parse(text: &str, command: &Command) -> Result<Axes> {
        let axes = split(text, ';').into_iter().map(|axis| Axis::parse(&axis, command));
        let axes = axes.collect::<Result<Vec<_>>>()?;
        let names: Vec<_> = axes.iter().map(|axis| axis.name.clone()).collect();
        let mut axes = axes.into_iter();
        let (columns, rows) = match (axes.next(), axes.next(), axes.next()) {
            (Some(columns), rows, None) => (columns, rows),
            _ => {
                let (count, names) = (names.len(), names.join(", "));
                return Err(wrong(format!(
                    "expected one or two axes, for columns and rows, got {count}: {names}; draw a \
                     sheet for each value of the others"
                )));
            }
        };
        if rows.as_ref().is_some_and(|rows| rows.option == columns.option) {
            return Err(wrong(format!(
                "expected two different axes, got {} twice",
                columns.option
            )));
        }
        let axes = Axes { columns, rows };
        match axes.len() {
            0..=MAX_CELLS => Ok(axes),
            cells => Err(wrong(format!("expected at most {MAX_CELLS} pictures, got {cells}"))),
        }
    }

    /// The number of pictures.
    pub fn len(&self) -> usize {
        self.columns.values.len() * self.rows.as_ref().map_or(1, |rows| rows.values.len())
    }

    /// The settings of a picture, counted row by row.
    pub fn settings(&self, command: &Command, cell: usize) -> Layer {
        let [column, row] = self.place(cell);
        let own = &self.columns.values[column].setting;
        match &self.rows {
            Some(rows) => own.over(command, &rows.values[row].setting),
            None => own.clone(),
        }
    }

    /// The column and the row of a picture.
    pub fn place(&self, cell: usize) -> [usize; 2] {
        let columns = self.columns.values.len();
        [cell % columns, cell / columns]
    }

    /// The name of a picture: its axes and values.
    pub fn name(&self, cell: usize) -> String {
        let [column, row] = self.place(cell);
        let of = |axis: &Axis, at: usize| format!("{} {}", axis.name, axis.values[at].text);
        let rows = self.rows.as_ref().map(|rows| of(rows, row));
        [Some(of(&self.columns, column)), rows].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl Axis {
    fn parse(text: &str, command: &Command) -> Result<Axis> {
        let Some((name, list)) = text.split_once('=') else {
            return Err(wrong(format!("expected NAME=VALUE,VALUE, got {:?}", text.trim())));
        };
        let name = name.trim();
        let dashed = name.trim_start_matches("--").replace('_', "-");
        let short = SHORT.iter().find(|(short, _)| *short == dashed);
        let wanted = short.map_or(dashed.as_str(), |(_, option)| option);
        let mut options =
            settable(command).filter(|option| option.get_help_heading() != Some("Output"));
        let Some(option) = options.find(|option| option_name(option) == wanted) else {
            return Err(unknown(command, name, wanted));
        };
        match wanted {
            "count" => {
                let message =
                    "count: expected another axis; seed=1,2,3 draws pictures of several seeds";
                return Err(wrong(message.into()));
            }
            "from" => {
                return Err(wrong("from: expected an option that the picture may have".into()));
            }
            _ => {}
        }
        if list.trim().is_empty() {
            return Err(wrong(format!("{name}: expected values, got none")));
        }
        let value = |text: &String| {
            let text = unescaped(text.trim());
            let value = match text.as_str() {
                "true" | "false" if is_flag(option) => Value::Bool(text == "true"),
                _ => text.as_str().into(),
            };
            let mut setting = Layer::default();
            setting
                .set(command, wanted, &value, "--grid")
                .map_err(|problem| wrong(format!("{name}={text}: {problem}")))?;
            let file = changes_model(option).then(|| text.rsplit(['/', '\\']).next()).flatten();
            let label = file.unwrap_or(&text).to_string();
            Ok(AxisValue { text, label, setting })
        };
        let values = split(list, ',').iter().map(value).collect::<Result<_>>()?;
        Ok(Axis { option: wanted.into(), name: name.into(), values })
    }
}

/// The error for a name that is no axis, with the most similar one that is.
fn unknown(command: &Command, name: &str, wanted: &str) -> Error {
    let known = settable(command).filter(|option| option.get_help_heading() != Some("Output"));
    let names = known.map(option_name).chain(SHORT.map(|(short, _)| short));
    let near = names.map(|name| (distance(wanted, name), name)).min();
    let near = near.filter(|(distance, _)| *distance <= wanted.len() / 3 + 1);
    wrong(match near {
        Some((_, near)) => format!("there is no axis {name:?}; a similar name is {near}"),
        None => {
            format!("there is no axis {name:?}; axes are options such as steps, guidance, seed")
        }
    })
}

fn wrong(problem: String) -> Error {
    Error::new(ErrorKind::Argument, format!("--grid: {problem}"))
}

/// The parts of a text between separators that follow no backslash; backslashes stay.
fn split(text: &str, separator: char) -> Vec<String> {
    let (mut parts, mut escaped) = (vec![String::new()], false);
    for character in text.chars() {
        match parts.last_mut() {
            Some(last) if escaped || character != separator => last.push(character),
            _ => parts.push(String::new()),
        }
        escaped = character == '\\' && !escaped;
    }
    parts
}

/// A text without the backslashes before `,`, `;` and backslashes.
fn unescaped(text: &str) -> String {
    let (mut plain, mut rest) = (String::new(), text.chars().peekable());
    while let Some(character) = rest.next() {
        match rest.peek() {
            Some(next @ (',' | ';' | '\\')) if character == '\\' => {
                plain.push(*next);
                rest.next();
            }
            _ => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::settings::command;
    use crate::cli::txt2img::Arguments;

    fn parse(text: &str) -> Result<Axes> {
        Axes::parse(text, &command::<Arguments>())
    }

    #[test]
    fn axes_and_values() {
        let axes = parse(" steps = 10, 20,30 ; cfg=3,7").expect("axes");
        assert_eq!((axes.len(), axes.columns.option.as_str()), (6, "steps"));
        assert_eq!(axes.rows.as_ref().map(|rows| rows.option.as_str()), Some("guidance-scale"));
        assert_eq!(
            (axes.name(0), axes.name(5)),
            ("steps 10, cfg 3".into(), "steps 30, cfg 7".into())
        );
        let settings = axes.settings(&command::<Arguments>(), 4);
        let value = |name| settings.get(name).map(|setting| setting.values.concat());
        assert_eq!([value("steps"), value("guidance-scale")], ["20", "7"].map(|v| Some(v.into())));
        let axes = parse(r"prompt=a\, b,c\;d=e\\,(f:1.2)").expect("an axis");
        let texts: Vec<_> = axes.columns.values.iter().map(|value| value.text.as_str()).collect();
        assert_eq!(texts, ["a, b", r"c;d=e\", "(f:1.2)"]);
        assert!(axes.rows.is_none());
        assert_eq!(parse("negative-prompt=,fog").expect("an axis").len(), 2);
        assert_eq!(parse("plain-prompts=true,false").expect("an axis").len(), 2);
        assert_eq!(parse("model=a/b.gguf").expect("it").columns.values[0].label, "b.gguf");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let many = |count: usize| (0..count).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
        let cells = format!("seed={};steps={}", many(21), many(20));
        for (text, words) in [
            ("", "expected NAME=VALUE,VALUE, got \"\""),
            ("steps", "expected NAME=VALUE,VALUE, got \"steps\""),
            ("steps=", "steps: expected values, got none"),
            ("stesp=1", "there is no axis \"stesp\"; a similar name is steps"),
            ("xyzzy-quux=1", "there is no axis \"xyzzy-quux\"; axes are options"),
            ("output=a,b", "there is no axis \"output\""),
            ("steps=10,x", "steps=x: steps: invalid value 'x'"),
            ("steps=10,", "steps=: steps: "),
            ("sampler=ddim,eluer", "sampler=eluer: scheduler: "),
            ("plain-prompts=1", "expected true or false"),
            ("count=1,2", "count: expected another axis; seed=1,2,3"),
            ("from=a.png", "from: expected an option"),
            ("steps=1;steps=2", "expected two different axes, got steps twice"),
            ("cfg=1;guidance=2", "expected two different axes, got guidance-scale twice"),
            (
                "steps=1;seed=2;eta=0",
                "expected one or two axes, for columns and rows, got 3: steps, seed, eta",
            ),
            (&cells, "expected at most 400 pictures, got 420"),
        ] {
            let error = parse(text).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.starts_with("--grid: ") && error.contains(words), "{text}: {error}");
        }
    }
}
