//! The limits of a target that a dispatch must keep, by the names that wgpu has for them.

use super::command::Operand;
use crate::error::{Error, ErrorKind, Result};
use crate::kernels::{Launch, Target};

/// Checks a launch of the layer `path`.
///
/// # Errors
/// `Memory` if it has too many workgroups, which a smaller picture may not have; `Unsupported` if the
/// kernel needs more than the device allows, whatever the picture. Both name the limit.
pub(super) fn check(
    path: &str,
    kernel: &str,
    launch: &Launch,
    operands: &[Option<Operand>],
    target: &Target,
) -> Result<()> {
    let [x, y] = launch.threads_of_group();
    let [max_x, max_y, _] = target.max_group_size;
    let needs: [(&str, &str, u64, u64); 6] = [
        ("threads along x", "max_compute_workgroup_size_x", x.into(), max_x.into()),
        ("threads along y", "max_compute_workgroup_size_y", y.into(), max_y.into()),
        (
            "threads",
            "max_compute_invocations_per_workgroup",
            u64::from(x) * u64::from(y),
            target.max_invocations.into(),
        ),
        // An absent operand has a binding too, and the parameters have one.
        (
            "bindings",
            "max_bindings_per_bind_group",
            operands.len() as u64 + 1,
            target.max_bindings.into(),
        ),
        (
            "storage buffers",
            "max_storage_buffers_per_shader_stage",
            operands.len() as u64,
            target.max_storage_buffers.into(),
        ),
        (
            "bytes of parameters",
            "max_uniform_buffer_binding_size",
            launch.params.len() as u64,
            target.max_uniform_bytes,
        ),
    ];
    let refused = |kind, what: &str, limit: &str, needed: u64, allowed: u64| {
        let message = format!(
            "{path}: kernel {kernel} ({}) needs {needed} {what}, and the device's limit {limit} is {allowed}",
            launch.variant
        );
        Err(Error::new(kind, message))
    };
    for (what, limit, needed, allowed) in needs {
        if needed > allowed {
            return refused(ErrorKind::Unsupported, what, limit, needed, allowed);
        }
    }
    let groups = launch.groups.into_iter().max().unwrap_or(0);
    if groups > target.max_groups {
        let (what, limit) = ("workgroups along an axis", "max_compute_workgroups_per_dimension");
        return refused(ErrorKind::Memory, what, limit, groups.into(), target.max_groups.into());
    }
    Ok(())
}
