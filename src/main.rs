//! The `ssmx` program.

fn main() {}
