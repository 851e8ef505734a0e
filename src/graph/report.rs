//! The printed form of a plan.

use super::{Command, Copy, Dispatch, Place, Plan};
use std::fmt;

/// A row of the table.
struct Row<'p> {
    kernel: &'p str,
    result: String,
    flops: u64,
    bytes: u64,
    live_bytes: u64,
    groups: String,
    buffers: String,
    layer: String,
}

impl fmt::Display for Plan {
    /// A table of the commands, then totals. Costs are what the plan implies, not measurements.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>4}  {:<19} {:<18} {:>9} {:>9} {:>9}  {:<14} {:<18} layer",
            "#", "kernel", "result", "MFLOP", "KB", "live KB", "groups", "buffers"
        )?;
        for (index, command) in self.commands.iter().enumerate() {
            let row = match command {
                Command::Dispatch(dispatch) => of_dispatch(dispatch),
                Command::Copy(copy) => self.of_copy(copy),
            };
            writeln!(
                f,
                "{index:>4}  {:<19} {:<18} {:>9.3} {:>9.1} {:>9.1}  {:<14} {:<18} {}",
                row.kernel,
                row.result,
                row.flops as f64 / 1e6,
                row.bytes as f64 / 1e3,
                row.live_bytes as f64 / 1e3,
                row.groups,
                row.buffers,
                row.layer,
            )?;
        }
        for (kind, ports) in [("input", &self.inputs), ("output", &self.outputs)] {
            for port in ports {
                writeln!(
                    f,
                    "{kind:>6}  {} {} {:?}",
                    port.name, port.tensor.shape, port.tensor.dtype
                )?;
            }
        }
        let dispatches = self.dispatches().count();
        let copies = match self.commands.len() - dispatches {
            0 => String::new(),
            1 => "1 copy, ".into(),
            copies => format!("{copies} copies, "),
        };
        writeln!(
            f,
            "total: {dispatches} dispatches, {copies}{:.3} GFLOP, {:.3} GB moved; weights {:.2} MB, \
             activations {:.2} MB in {} buffers; storage {}",
            self.flops() as f64 / 1e9,
            self.moved_bytes() as f64 / 1e9,
            self.weight_bytes() as f64 / 1e6,
            self.activation_bytes() as f64 / 1e6,
            self.slots.len() + self.inputs.len() + self.outputs.len(),
            self.target.storage,
        )
    }
}

impl Plan {
    fn of_copy(&self, copy: &Copy) -> Row<'_> {
        let items = copy.first_item..copy.first_item + copy.tensor.shape.items();
        Row {
            kernel: "copy",
            result: copy.tensor.shape.to_string(),
            flops: 0,
            bytes: 2 * copy.bytes,
            live_bytes: 0,
            groups: "-".into(),
            buffers: format!("{} {}", place(Some(copy.from)), place(Some(copy.to))),
            layer: format!("{}[{items:?}] to {}", self.name(copy.from), self.name(copy.to)),
        }
    }

    /// The name of an input or output.
    fn name(&self, place: Place) -> &str {
        match place {
            Place::Input(index) => &self.inputs[index].name,
            Place::Output(index) => &self.outputs[index].name,
            Place::Weight(index) => &self.weights[index].name,
            Place::Slot(_) => "",
        }
    }
}

fn of_dispatch(dispatch: &Dispatch) -> Row<'_> {
    let [x, y, z] = dispatch.launch.groups;
    let places = dispatch.operands.iter().map(|operand| place(operand.map(|o| o.place)));
    Row {
        kernel: dispatch.shader.name,
        result: dispatch.output.shape.to_string(),
        flops: dispatch.launch.flops,
        bytes: dispatch.bytes,
        live_bytes: dispatch.live_bytes,
        groups: format!("{x}x{y}x{z}"),
        buffers: places.collect::<Vec<_>>().join(" "),
        layer: dispatch.path.clone(),
    }
}

fn place(place: Option<Place>) -> String {
    match place {
        None => "-".into(),
        Some(Place::Weight(_)) => "w".into(),
        Some(Place::Input(index)) => format!("i{index}"),
        Some(Place::Output(index)) => format!("o{index}"),
        Some(Place::Slot(index)) => format!("s{index}"),
    }
}
