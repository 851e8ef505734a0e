//! Patterns of tensor names.

/// Renames by the first pattern of a table that matches. In a pattern `#` stands for a number
/// and a last `*` for the rest; in the new name they stand for the same, in the same order.
pub(super) fn rename(table: &[(&str, &str)], name: &str) -> Option<String> {
    table.iter().find_map(|(pattern, new)| {
        let (numbers, rest) = fit(pattern, name)?;
        let mut numbers = numbers.into_iter();
        let words = new.split('.').map(|word| match word {
            "#" => numbers.next().unwrap_or_default(),
            "*" => rest,
            word => word,
        });
        Some(words.collect::<Vec<_>>().join("."))
    })
}

/// The numbers and the rest of a name, if the pattern matches.
fn fit<'n>(pattern: &str, name: &'n str) -> Option<(Vec<&'n str>, &'n str)> {
    let (mut numbers, mut rest) = (Vec::new(), name);
    for wanted in pattern.split('.') {
        if wanted == "*" {
            return (!rest.is_empty()).then_some((numbers, rest));
        }
        let (word, after) = rest.split_once('.').unwrap_or((rest, ""));
        match wanted {
            "#" if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) => {
                numbers.push(word);
            }
            _ if wanted == word => {}
            _ => return None,
        }
        rest = after;
    }
    rest.is_empty().then_some((numbers, ""))
}

#[cfg(test)]
mod tests {
    use super::rename;

    #[test]
    fn numbers_and_rests_are_carried_over() {
        let table = [("a.#.b.#.*", "x.#.#.y.*"), ("c", "d.e"), ("f.*", "f.*")];
        for (name, new) in [
            ("a.1.b.20.c.weight", Some("x.1.20.y.c.weight")),
            ("c", Some("d.e")),
            ("f.g", Some("f.g")),
            ("a.1.b.20", None),
            ("a.x.b.1.c", None),
            ("a..b.1.c", None),
            ("c.d", None),
            ("f", None),
            ("", None),
        ] {
            assert_eq!(rename(&table, name).as_deref(), new, "{name}");
        }
    }
}
