//! The words of the command line, and who they are handed to.
