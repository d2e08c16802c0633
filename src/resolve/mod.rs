//! From a friendly name to one target in one scope, without I/O.
