//! Values that must not be seen: wiped when dropped, without a `Debug` that shows them.

use std::fmt;

use zeroize::Zeroize;

/// A token, key or signed URL. Its memory is wiped on drop, and it prints as `[secret]`, so that it cannot
/// reach a log by being part of a larger value.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes the value over.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the one place that sends it to its owner.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let token = Secret::new(String::from("AAEAAR-token"));
        assert_eq!(format!("{token:?}"), "[secret]");
        assert_eq!(token.expose(), "AAEAAR-token");
    }
}
