//! The change of one layer: which tensors of a LoRA file make it up, checked by their shapes.

use std::collections::BTreeMap;

use super::key::Module;
use super::role::Role;
use crate::error::{Error, ErrorKind, Result};
use crate::weights::Weights;

/// The change of one layer, by the names of its tensors in the file.
#[derive(Clone)]
pub(super) struct Layer {
    pub component: &'static str,
    pub module: Module,
    /// The change of the weight.
    pub change: Option<Change>,
    /// The difference of the bias.
    pub bias: Option<String>,
    pub alpha: Option<String>,
    /// DoRA's magnitudes.
    pub dora: Option<Dora>,
    /// A key of the layer, for messages.
    pub key: String,
}

/// The change of a layer's weight.
#[derive(Clone)]
pub(super) enum Change {
    /// LoRA.
    Product(Product),
    /// LoHa.
    Hadamard([Product; 2]),
    /// LoKr.
    Kronecker([Factor; 2]),
    /// A full difference.
    Full(String),
    /// (IA)³: factors of the outputs, or of the inputs.
    Factors { values: String, on_input: String },
}

/// A product of two matrices, up `[O, r]` and down `[r, I·kh·kw]`.
#[derive(Clone)]
pub(super) struct Product {
    pub up: String,
    pub down: String,
    pub rank: usize,
    pub core: Option<Core>,
}

/// The core `[r, r, kh, kw]` of a Tucker decomposition, with down `[r, I]`.
#[derive(Clone)]
pub(super) struct Core {
    pub name: String,
    /// Whether up is `[r, O]`.
    pub up_transposed: bool,
}

/// A factor of a Kronecker product.
#[derive(Clone)]
pub(super) enum Factor {
    Whole(String),
    Product(Product),
}

/// DoRA's magnitudes.
#[derive(Clone)]
pub(super) enum Dora {
    /// Of LyCORIS: `[O, 1, …]` or `[1, I, …]`.
    Scale(String),
    /// Of peft: one for each output.
    Magnitude(String),
}

/// The tensors of a layer that are not yet part of its change.
struct Parts<'a> {
    weights: &'a Weights,
    names: BTreeMap<Role, String>,
}

impl Layer {
    /// The layer that these tensors describe.
    ///
    /// # Errors
    /// `Weights` if a tensor is missing or of a shape that does not fit the others, if tensors
    /// belong to several methods; `Unsupported` for DoRA on a full difference.
    pub(super) fn new(
        component: &'static str,
        module: Module,
        names: BTreeMap<Role, String>,
        weights: &Weights,
    ) -> Result<Self> {
        let key = names.values().next().cloned().unwrap_or_default();
        let mut parts = Parts { weights, names };
        let bias = parts.take(Role::DiffBias);
        let alpha = parts.take(Role::Alpha);
        let dora = match (parts.take(Role::DoraScale), parts.take(Role::Magnitude)) {
            (Some(scale), None) => Some(Dora::Scale(scale)),
            (None, Some(magnitude)) => Some(Dora::Magnitude(magnitude)),
            (None, None) => None,
            (Some(one), Some(other)) => {
                return Err(bad(format!("expected one of {one} and {other}, got both")));
            }
        };
        let change = parts.change(&key)?;
        if let Some(rest) = parts.names.values().next() {
            let message = format!("{rest}: expected one method for a layer, got others beside it");
            return Err(bad(message));
        }
        match (&change, &dora) {
            (None, _) if bias.is_none() || alpha.is_some() || dora.is_some() => {
                let message = format!("expected an up and a down matrix, got only {key}");
                return Err(bad(message));
            }
            (
                Some(Change::Full(_) | Change::Factors { .. }),
                Some(Dora::Scale(name) | Dora::Magnitude(name)),
            ) => {
                let message = format!(
                    "{name}: expected DoRA with a LoRA, LoHa or LoKr, got a full difference"
                );
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            _ => {}
        }
        Ok(Layer { component, module, change, bias, alpha, dora, key })
    }

    /// The rank by which alpha is divided; `None` where there is none.
    pub(super) fn rank(&self) -> Option<usize> {
        match self.change.as_ref()? {
            Change::Product(product) | Change::Hadamard([product, _]) => Some(product.rank),
            Change::Kronecker([Factor::Product(product), _] | [_, Factor::Product(product)]) => {
                Some(product.rank)
            }
            Change::Kronecker(_) | Change::Full(_) | Change::Factors { .. } => None,
        }
    }
}

impl Parts<'_> {
    fn take(&mut self, role: Role) -> Option<String> {
        self.names.remove(&role)
    }

    fn shape(&self, name: &str) -> &[usize] {
        self.weights.shape(name).unwrap_or_default()
    }

    /// The change of the first method of which there is a tensor.
    fn change(&mut self, key: &str) -> Result<Option<Change>> {
        if let Some(name) = self.take(Role::Diff) {
            return Ok(Some(Change::Full(name)));
        }
        if let Some(product) = self.product(Role::Up, Role::Down, Role::Mid, false)? {
            return Ok(Some(Change::Product(product)));
        }
        let one = self.product(Role::HadaW1A, Role::HadaW1B, Role::HadaT1, true)?;
        let other = self.product(Role::HadaW2A, Role::HadaW2B, Role::HadaT2, true)?;
        match (one, other) {
            (Some(one), Some(other)) => return Ok(Some(Change::Hadamard([one, other]))),
            (None, None) => {}
            (Some(product), None) | (None, Some(product)) => {
                let message = format!("{}: expected two products, got one", product.up);
                return Err(bad(message));
            }
        }
        let first = match self.take(Role::LokrW1) {
            Some(whole) => Some(Factor::Whole(whole)),
            None => self.matrices(Role::LokrW1A, Role::LokrW1B, None, false)?.map(Factor::Product),
        };
        let second = match self.take(Role::LokrW2) {
            Some(whole) => Some(Factor::Whole(whole)),
            None => {
                self.product(Role::LokrW2A, Role::LokrW2B, Role::LokrT2, true)?.map(Factor::Product)
            }
        };
        match (first, second) {
            (Some(first), Some(second)) => {
                return Ok(Some(Change::Kronecker([first, second])));
            }
            (None, None) => {}
            _ => {
                let message = format!("{key}: expected both factors lokr_w1 and lokr_w2, got one");
                return Err(bad(message));
            }
        }
        match (self.take(Role::Factors), self.take(Role::OnInput)) {
            (Some(values), Some(on_input)) => Ok(Some(Change::Factors { values, on_input })),
            (None, None) => Ok(None),
            (factors, on_input) => {
                let name = factors.or(on_input).unwrap_or_default();
                Err(bad(format!(
                    "{name}: expected a key of a LoRA, or (IA)³'s weight and on_input, got one"
                )))
            }
        }
    }

    /// A product of two matrices, and the core that the file may have between them.
    fn product(
        &mut self,
        up: Role,
        down: Role,
        core: Role,
        up_transposed: bool,
    ) -> Result<Option<Product>> {
        let core = self.take(core);
        let product = self.matrices(up, down, core.clone(), up_transposed)?;
        if let (None, Some(core)) = (&product, core) {
            return Err(bad(format!("{core}: expected two matrices beside it, got none")));
        }
        Ok(product)
    }

    fn matrices(
        &mut self,
        up: Role,
        down: Role,
        core: Option<String>,
        up_transposed: bool,
    ) -> Result<Option<Product>> {
        let (up, down) = match (self.take(up), self.take(down)) {
            (Some(up), Some(down)) => (up, down),
            (None, None) => return Ok(None),
            (up, down) => {
                let got = up.or(down).unwrap_or_default();
                return Err(bad(format!("expected an up and a down matrix, got only {got}")));
            }
        };
        let core = core.map(|name| Core { name, up_transposed });
        let rank = self.rank(&up, &down, core.as_ref())?;
        Ok(Some(Product { up, down, rank, core }))
    }

    /// The rank r of two matrices, after a check of their shapes.
    fn rank(&self, up: &str, down: &str, core: Option<&Core>) -> Result<usize> {
        let (left, right) = (self.shape(up), self.shape(down));
        let ones = |rest: &[usize]| rest.iter().all(|&dim| dim == 1);
        let Some(core) = core else {
            if let ([_, rank, rest @ ..], [same, _, ..]) = (left, right)
                && rank == same
                && *rank > 0
                && ones(rest)
            {
                return Ok(*rank);
            }
            return Err(bad(format!(
                "{up}: expected [O, r] or [O, r, 1, 1] beside {down} of [r, I] or [r, I, kh, kw], \
                 got {left:?} and {right:?}"
            )));
        };
        let middle = self.shape(&core.name);
        if let ([one, other, rest @ ..], [i, j, window @ ..], [same, _, down_rest @ ..]) =
            (left, middle, right)
            && let rank = if core.up_transposed { one } else { other }
            && [rank, i, j].iter().all(|&dim| dim == same && *dim > 0)
            && ones(rest)
            && ones(down_rest)
            && window.iter().all(|dim| (1..=LARGEST_WINDOW).contains(dim))
            && window.len() <= 2
        {
            return Ok(*same);
        }
        let matrix = if core.up_transposed { "[r, O]" } else { "[O, r]" };
        Err(bad(format!(
            "{}: expected [r, r, kh, kw] between {matrix} and [r, I], got {middle:?} between {left:?} \
             and {right:?}",
            core.name
        )))
    }
}

/// The largest side of a core's window; a damaged file could ask for any product.
const LARGEST_WINDOW: usize = 8;

fn bad(message: String) -> Error {
    Error::new(ErrorKind::Weights, message)
}
