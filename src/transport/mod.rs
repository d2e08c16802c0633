//! What carries a session: our own engine or AWS's plugin.
