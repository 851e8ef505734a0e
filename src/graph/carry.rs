//! State that a graph hands from one run to the next: outputs copied over inputs.

use super::command::{BufferId, Copy};
use super::plan::Plan;
use crate::error::{Error, ErrorKind, Result};
use crate::shape::{Shape, TensorType};

/// A copy of items of an output over an input, made at the end of every run, for the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carry {
    /// The output's name.
    pub output: String,
    /// The first item of the output that is copied, counted along its outermost axis. As many are
    /// copied as the input has.
    pub first_item: usize,
    /// The input's name.
    pub input: String,
}

impl Plan {
    /// The copies that the carries ask for, in their order.
    ///
    /// # Errors
    /// `Shape` if an output or input is missing, an input is written twice, or the items of the output are
    /// not those of the input.
    pub(super) fn copies(&self, carries: &[Carry]) -> Result<Vec<Copy>> {
        let mut copies: Vec<Copy> = Vec::new();
        for carry in carries {
            let copy = self.copy(carry)?;
            if copies.iter().any(|earlier| earlier.to == copy.to) {
                return Err(refused(carry, "expected one output for each input, got two"));
            }
            copies.push(copy);
        }
        Ok(copies)
    }

    fn copy(&self, carry: &Carry) -> Result<Copy> {
        let output = self.output(&carry.output);
        let output = output.ok_or_else(|| refused(carry, "the plan has no such output"))?;
        let input = self.input(&carry.input);
        let input = input.ok_or_else(|| refused(carry, "nothing in the plan reads that input"))?;
        let (from, to) = (self.outputs[output].tensor, self.inputs[input].tensor);
        let items = from.shape.items();
        let after = carry.first_item.saturating_add(to.shape.items());
        if after > items || of_items(from) != of_items(to) {
            let (first, name) = (carry.first_item, &carry.input);
            let message = format!(
                "{name} is {} {:?}, expected items from {first} on of {} {:?}",
                to.shape, to.dtype, from.shape, from.dtype
            );
            return Err(refused(carry, &message));
        }
        let bytes = to.bytes(self.target.storage);
        let item_bytes = from.bytes(self.target.storage) / items.max(1) as u64;
        Ok(Copy {
            from: BufferId::Output(output),
            offset: item_bytes * carry.first_item as u64,
            to: BufferId::Input(input),
            bytes,
            first_item: carry.first_item,
            tensor: to,
        })
    }
}

/// The element type and the dimensions of one item.
fn of_items(tensor: TensorType) -> TensorType {
    let mut dims = tensor.shape.dims().to_vec();
    if dims.len() > 1 {
        dims[0] = 1;
    }
    TensorType { shape: Shape::new(&dims), ..tensor }
}

fn refused(carry: &Carry, why: &str) -> Error {
    let message = format!("{} carried over to {}: {why}", carry.output, carry.input);
    Error::new(ErrorKind::Shape, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Builder, Command};
    use crate::kernels::Target;
    use crate::shape::Storage;

    /// Output, first item and input.
    type Carried = (&'static str, usize, &'static str);

    /// A graph whose output `y` has three items of eight values, with carries from it.
    fn plan(carries: &[Carried]) -> Result<Plan> {
        let builder = Builder::new();
        let x = builder.input("x", TensorType::real([3, 8]));
        let one = builder.input("one", TensorType::real([1, 8]));
        let wide = builder.input("wide", TensorType::real([1, 9]));
        builder.output("y", x.silu() + one);
        builder.output("z", wide.silu());
        carries.iter().for_each(|(output, first, input)| builder.carry(output, *first, input));
        Plan::new(&builder.finish()?, &Target::webgpu(Storage::F16))
    }

    #[test]
    fn carries_are_copies_after_the_dispatches() {
        let plan = plan(&[("y", 0, "x"), ("y", 2, "one")]).unwrap();
        let copies: Vec<_> = plan.commands[3..]
            .iter()
            .map(|command| match command {
                Command::Copy(copy) => (copy.from, copy.offset, copy.to, copy.bytes),
                Command::Dispatch(dispatch) => panic!("{}", dispatch.path),
            })
            .collect();
        let copy =
            |offset, input, bytes| (BufferId::Output(0), offset, BufferId::Input(input), bytes);
        assert_eq!(copies, [copy(0, 0, 48), copy(32, 1, 16)]);
        assert_eq!(plan.dispatches().count(), 3);
    }

    #[test]
    fn carries_that_do_not_fit_are_refused_by_name() {
        let table: [(&[Carried], &str); 6] = [
            (&[("w", 0, "x")], "w carried over to x: the plan has no such output"),
            (&[("y", 0, "w")], "y carried over to w: nothing in the plan reads that input"),
            (&[("y", 1, "x")], "x is [3, 8] Real, expected items from 1 on of [3, 8] Real"),
            (&[("y", usize::MAX, "one")], "expected items from"),
            (&[("y", 0, "wide")], "wide is [1, 9] Real"),
            (&[("y", 0, "one"), ("y", 1, "one")], "expected one output for each input, got two"),
        ];
        for (carries, message) in table {
            let error = plan(carries).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Shape);
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
