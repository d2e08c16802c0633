//! A page of runs that are refused, as a snapshot keeps it.

use std::fmt::Write as _;

use crate::env::{TestEnv, Told};

/// Runs and their answers, one below the other.
#[derive(Default)]
pub struct Page {
    pub text: String,
}

impl Page {
    /// A run that has to be refused.
    pub fn run(&mut self, env: &TestEnv, words: &[&str]) {
        self.note(words, &env.run(words));
    }

    /// What such a run told.
    pub fn note(&mut self, words: &[&str], told: &Told) {
        assert_ne!(told.status, 0, "{words:?} was not refused: {told}");
        assert!(!told.stderr.contains("panicked"), "{words:?}: {told}");
        let line = shlex::try_join(words.iter().map(|word| match word.strip_suffix("bundle.pem") {
            Some(_) => "$HOME/bundle.pem",
            None => *word,
        }));
        let line = line.unwrap().replace('\u{1b}', "\\e");
        writeln!(self.text, "$ ssmx {line}\n{told}").unwrap();
    }

    /// What the next ones have in common.
    pub fn heading(&mut self, words: &str) {
        writeln!(self.text, "# {words}").unwrap();
    }
}
