//! Versions of clients and agents, compared as the agent compares them.

use std::cmp::Ordering;

/// Compares number by number; with equal beginnings the longer one is greater. What is no number counts as 0.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    numbers(one).cmp(numbers(other))
}

/// Whether `version` is above `limit`.
pub(super) fn above(version: &str, limit: &str) -> bool {
    compare(version, limit) == Ordering::Greater
}

fn numbers(version: &str) -> impl Iterator<Item = u64> {
    version.split('.').map(|part| part.trim().parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_not_text() {
        assert!(above("1.2.1000.0", "1.2.331.0"));
        assert!(above("3.10.0.0", "3.9.9.9"));
        assert!(!above("1.2.331.0", "1.2.331.0"));
        assert!(above("1.1.70.0", "1.1.70"));
        assert!(!above("", "1.1.70"));
    }
}
