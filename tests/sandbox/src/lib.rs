//! AWS in a box on loopback.
