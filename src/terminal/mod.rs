//! Keyboard and screen: raw mode, size, keys, and the guard that puts everything back.

pub mod escape;
pub mod input;
pub mod output;
pub mod record;
#[cfg(test)]
mod tests;
#[cfg(unix)]
mod unix;

#[cfg(unix)]
pub use unix::{Heard, Kept, RawMode, Signals, is_terminal, size, stop};

/// What the terminal measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
}

impl Size {
    /// Where there is no terminal to ask.
    pub const UNKNOWN: Self = Self { cols: 80, rows: 24 };
}
