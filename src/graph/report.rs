//! The listing of a plan, as `croquis plan` prints it.

use super::{BufferId, Plan};
use std::fmt;

impl fmt::Display for Plan {
    /// Writes a table of the dispatches, then totals. Costs are counted from the plan, not measured.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>4}  {:<19} {:<12} {:<18} {:>9} {:>9} {:>9}  {:<14} {:<18} layer",
            "#", "kernel", "variant", "result", "MFLOP", "KB", "live KB", "groups", "buffers"
        )?;
        for (index, dispatch) in self.dispatches.iter().enumerate() {
            let [x, y, z] = dispatch.launch.groups;
            let buffers: Vec<_> =
                dispatch.operands.iter().map(|o| buffer(o.map(|o| o.buffer))).collect();
            writeln!(
                f,
                "{index:>4}  {:<19} {:<12} {:<18} {:>9.3} {:>9.1} {:>9.1}  {:<14} {:<18} {}",
                dispatch.shader.name,
                dispatch.launch.variant,
                dispatch.output.shape.to_string(),
                dispatch.launch.flops as f64 / 1e6,
                dispatch.bytes as f64 / 1e3,
                dispatch.live_bytes as f64 / 1e3,
                format!("{x}x{y}x{z}"),
                buffers.join(" "),
                dispatch.path,
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
        let bytes: u64 = self.dispatches.iter().map(|dispatch| dispatch.bytes).sum();
        writeln!(
            f,
            "total: {} dispatches, {:.3} GFLOP, {:.3} GB moved; weights {:.2} MB, activations \
             {:.2} MB in {} buffers; storage {}",
            self.dispatches.len(),
            self.flops() as f64 / 1e9,
            bytes as f64 / 1e9,
            self.weight_bytes() as f64 / 1e6,
            self.activation_bytes() as f64 / 1e6,
            self.slots.len() + self.inputs.len() + self.outputs.len(),
            self.target.storage,
        )
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
