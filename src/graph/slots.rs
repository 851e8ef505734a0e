//! Assignment of intermediate tensors to shared buffers, greedy by size over lifetimes (Pisarchyk &
//! Lee, arXiv 2001.03288, "shared objects, greedy by size").

/// The first and the last dispatch during which a tensor must stay in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    pub first: usize,
    pub last: usize,
    pub bytes: u64,
}

/// The slot of every tensor, and the slots' sizes in bytes. Tensors whose lifetimes overlap have
/// different slots; a kernel's operands and result always overlap.
pub(super) fn assign(tensors: &[Lifetime]) -> (Vec<usize>, Vec<u64>) {
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(tensors[index].bytes));
    let mut slots: Vec<(u64, Vec<usize>)> = Vec::new();
    let mut assigned = vec![0; tensors.len()];
    for index in order {
        let tensor = tensors[index];
        let free = |members: &[usize]| {
            members
                .iter()
                .all(|&m| tensors[m].last < tensor.first || tensor.last < tensors[m].first)
        };
        // Sizes fall along the order, so every slot is large enough; the smallest fits best.
        let best =
            (0..slots.len()).filter(|&slot| free(&slots[slot].1)).min_by_key(|&s| slots[s].0);
        let slot = best.unwrap_or_else(|| {
            slots.push((tensor.bytes, Vec::new()));
            slots.len() - 1
        });
        slots[slot].1.push(index);
        assigned[index] = slot;
    }
    (assigned, slots.into_iter().map(|(bytes, _)| bytes).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_that_overlap_never_share() {
        let tensor = |first, last, bytes| Lifetime { first, last, bytes };
        let chain = [tensor(0, 1, 8), tensor(1, 2, 16), tensor(2, 3, 4), tensor(0, 3, 2)];
        let (slots, sizes) = assign(&chain);
        for (i, a) in chain.iter().enumerate() {
            assert!(sizes[slots[i]] >= a.bytes);
            for (j, b) in chain.iter().enumerate().skip(i + 1) {
                let overlap = a.first <= b.last && b.first <= a.last;
                assert!(!overlap || slots[i] != slots[j], "{i} and {j} share a slot");
            }
        }
        assert_eq!(sizes.iter().sum::<u64>(), 26, "8 and 4 share: {slots:?} {sizes:?}");
    }
}
