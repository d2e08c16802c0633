//! The way out of a stuck session: `~.` at the start of a line, as in ssh.

/// What typed bytes amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// Bytes for the remote.
    Bytes(Vec<u8>),
    /// `~.`: end the session.
    End,
    /// `~?`: show what the escapes are.
    Help,
}

/// Watches for the escape character at the start and after a line's end; it survives cuts anywhere.
#[derive(Debug, Clone)]
pub struct Escapes {
    character: Option<u8>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    LineStart,
    Escaped,
    InLine,
}

impl Escapes {
    /// With `character` as the escape, or with none.
    pub fn new(character: Option<u8>) -> Self {
        Self {
            character,
            state: State::LineStart,
        }
    }

    /// Sorts what was typed. What comes after [`Typed::End`] is dropped.
    pub fn sort(&mut self, typed: &[u8]) -> Vec<Typed> {
        let Some(escape) = self.character else {
            return if typed.is_empty() {
                Vec::new()
            } else {
                vec![Typed::Bytes(typed.to_vec())]
            };
        };
        let mut sorted = Vec::new();
        let mut bytes = Vec::with_capacity(typed.len());
        for &byte in typed {
            match (self.state, byte) {
                (State::LineStart, byte) if byte == escape => {
                    self.state = State::Escaped;
                    continue;
                }
                (State::Escaped, b'.') => {
                    flush(&mut bytes, &mut sorted);
                    sorted.push(Typed::End);
                    return sorted;
                }
                (State::Escaped, b'?') => {
                    flush(&mut bytes, &mut sorted);
                    sorted.push(Typed::Help);
                    self.state = State::LineStart;
                    continue;
                }
                // Twice: once for the remote.
                (State::Escaped, byte) if byte == escape => {}
                (State::Escaped, _) => bytes.push(escape),
                _ => {}
            }
            bytes.push(byte);
            self.state = if matches!(byte, b'\r' | b'\n') {
                State::LineStart
            } else {
                State::InLine
            };
        }
        flush(&mut bytes, &mut sorted);
        sorted
    }
}

fn flush(bytes: &mut Vec<u8>, sorted: &mut Vec<Typed>) {
    if !bytes.is_empty() {
        sorted.push(Typed::Bytes(std::mem::take(bytes)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(chunks: &[&str]) -> Vec<Typed> {
        let mut escapes = Escapes::new(Some(b'~'));
        chunks
            .iter()
            .flat_map(|chunk| escapes.sort(chunk.as_bytes()))
            .collect()
    }

    fn bytes(text: &str) -> Typed {
        Typed::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn only_at_the_start_of_a_line() {
        assert_eq!(sorted(&["~."]), [Typed::End]);
        assert_eq!(sorted(&["ls\r~.more"]), [bytes("ls\r"), Typed::End]);
        assert_eq!(sorted(&["cd ~."]), [bytes("cd ~.")]);
        assert_eq!(sorted(&["~?", "~."]), [Typed::Help, Typed::End]);
    }

    #[test]
    fn a_cut_between_the_two_does_not_matter() {
        assert_eq!(sorted(&["x\r", "~", "."]), [bytes("x\r"), Typed::End]);
        assert_eq!(sorted(&["~", "~", "."]), [bytes("~"), bytes(".")]);
        assert_eq!(sorted(&["~", "a"]), [bytes("~a")]);
        assert_eq!(sorted(&["~\r", "~."]), [bytes("~\r"), Typed::End]);
    }

    #[test]
    fn none_means_none() {
        let mut escapes = Escapes::new(None);
        assert_eq!(escapes.sort(b"~."), [bytes("~.")]);
    }
}
