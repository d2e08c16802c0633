//! The stories: the built program against the sandbox.
