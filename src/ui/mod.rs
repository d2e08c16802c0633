//! How things are said: data to stdout, talk to stderr, untrusted text escaped.
