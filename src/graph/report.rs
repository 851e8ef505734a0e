//! The listing of a plan, as `croquis plan` prints it.

use super::{BufferId, Command, Copy, Dispatch, Plan};
use std::fmt;

/// A row of the table.
struct Row<'p> {
    kernel: &'p str,
    variant: &'p str,
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
            "{:>4}  {:<19} {:<12} {:<18} {:>9} {:>9} {:>9}  {:<14} {:<18} layer",
            "#", "kernel", "variant", "result", "MFLOP", "KB", "live KB", "groups", "buffers"
        )?;
        for (index, command) in self.commands.iter().enumerate() {
            let row = match command {
                Command::Dispatch(dispatch) => of_dispatch(dispatch),
                Command::Copy(copy) => self.of_copy(copy),
            };
            writeln!(
                f,
                "{index:>4}  {:<19} {:<12} {:<18} {:>9.3} {:>9.1} {:>9.1}  {:<14} {:<18} {}",
                row.kernel,
                row.variant,
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
            variant: "-",
            result: copy.tensor.shape.to_string(),
            flops: 0,
            bytes: 2 * copy.bytes,
            live_bytes: 0,
            groups: "-".into(),
            buffers: format!("{} {}", buffer(Some(copy.from)), buffer(Some(copy.to))),
            layer: format!("{}[{items:?}] to {}", self.name(copy.from), self.name(copy.to)),
        }
    }

    /// The name of an input or output.
    fn name(&self, buffer: BufferId) -> &str {
        match buffer {
            BufferId::Input(index) => &self.inputs[index].name,
            BufferId::Output(index) => &self.outputs[index].name,
            BufferId::Weight(index) => &self.weights[index].name,
            BufferId::Slot(_) => "",
        }
    }
}

fn of_dispatch(dispatch: &Dispatch) -> Row<'_> {
    let [x, y, z] = dispatch.launch.groups;
    let buffers = dispatch.operands.iter().map(|operand| buffer(operand.map(|o| o.buffer)));
    Row {
        kernel: dispatch.shader.name,
        variant: &dispatch.launch.variant,
        result: dispatch.output.shape.to_string(),
        flops: dispatch.launch.flops,
        bytes: dispatch.bytes,
        live_bytes: dispatch.live_bytes,
        groups: format!("{x}x{y}x{z}"),
        buffers: buffers.collect::<Vec<_>>().join(" "),
        layer: dispatch.path.clone(),
    }
}

fn buffer(buffer: Option<BufferId>) -> String {
    match buffer {
        None => "-".into(),
        Some(BufferId::Weight(_)) => "w".into(),
        Some(BufferId::Input(index)) => format!("i{index}"),
        Some(BufferId::Output(index)) => format!("o{index}"),
        Some(BufferId::Slot(index)) => format!("s{index}"),
    }
}
