//! From a friendly name to one target in one scope, without I/O.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
