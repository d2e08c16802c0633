//! Keyboard and screen: raw mode, size, keys, and the guard that puts everything back.
