//! The policy of weight formats: the format of each weight of a plan.

use crate::kernels::Target;
use crate::weights::{WeightFormat, WeightLayout};

/// The format of a weight with the file's `name` that is read in a layout. Matrices and filters have
/// the target's weight format, and without one the format of its storage type. Vectors (biases, and
/// scales and shifts of norms) always have the latter: they are read with the functions of the storage
/// type, and take little memory.
pub fn weight_format(_name: &str, layout: WeightLayout, target: &Target) -> WeightFormat {
    let of_storage = WeightFormat::from(target.storage);
    match layout {
        WeightLayout::Vector => of_storage,
        WeightLayout::Matrix | WeightLayout::Conv | WeightLayout::Depthwise => {
            target.weight_format.unwrap_or(of_storage)
        }
    }
}
