//! What was typed, on its way to the remote: escapes taken out, held until it may be sent.

use bytes::{Bytes, BytesMut};

use crate::terminal::escape::{Escapes, Typed};

/// Typed bytes that wait for the channel; a paste beyond this waits in the terminal.
const LONGEST_BACKLOG: usize = 1 << 20;
/// One write to the channel.
const CHUNK: usize = 4096;
/// Ctrl-C, Ctrl-Z and Ctrl-\: what they interrupt does not want the rest of a paste either.
const INTERRUPTS: &[u8] = &[0x03, 0x1a, 0x1c];
/// What a terminal sends for its end of input.
const END_OF_INPUT: u8 = 0x04;

/// Whether typed bytes may be sent yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Shut,
    Open,
}

/// What a piece of typing asks for, beside being sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// These bytes go ahead of all that was not sent yet, which is dropped.
    Interrupt(Bytes),
    /// `~?`.
    Help,
    /// `~.`; nothing follows.
    End,
}

pub(super) struct Keys {
    escapes: Escapes,
    backlog: BytesMut,
    last: Option<u8>,
    ended: bool,
}

impl Keys {
    pub(super) fn new(escapes: Escapes) -> Self {
        Self {
            escapes,
            backlog: BytesMut::new(),
            last: None,
            ended: false,
        }
    }

    /// Whether more typing is wanted.
    pub(super) fn is_hungry(&self) -> bool {
        !self.ended && self.backlog.len() < LONGEST_BACKLOG
    }

    /// Whether something waits to be sent.
    pub(super) fn is_waiting(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// The next bytes to send.
    pub(super) fn next_chunk(&mut self) -> Bytes {
        let length = self.backlog.len().min(CHUNK);
        self.backlog.split_to(length).freeze()
    }

    /// Forgets what waits: nobody takes it any more.
    pub(super) fn forget(&mut self) {
        self.backlog.clear();
    }

    /// Takes what was typed. An interrupt overtakes a backlog, which is dropped, as a terminal drops its
    /// input on Ctrl-C; without a backlog it is a key like all others, so that editors lose nothing.
    pub(super) fn take(&mut self, typed: &[u8], door: Door) -> Vec<Ask> {
        let mut asks = Vec::new();
        for typed in self.escapes.sort(typed) {
            match typed {
                Typed::End => asks.push(Ask::End),
                Typed::Help => asks.push(Ask::Help),
                Typed::Bytes(bytes) => {
                    self.last = bytes.last().copied().or(self.last);
                    let interrupt = bytes.iter().rposition(|byte| INTERRUPTS.contains(byte));
                    match interrupt {
                        Some(at) if door == Door::Open && self.is_waiting() => {
                            self.forget();
                            let rest = bytes.get(at..).unwrap_or_default();
                            asks.push(Ask::Interrupt(Bytes::copy_from_slice(rest)));
                        }
                        _ => self.backlog.extend_from_slice(&bytes),
                    }
                }
            }
        }
        asks
    }

    /// The input has ended. The far end sees what it would see of a person who presses Ctrl-D, as with
    /// `ssh -tt`: once at the start of a line, twice within one, where the first only hands over what stands
    /// there. Its output is still awaited.
    pub(super) fn end(&mut self) {
        self.ended = true;
        let within_line = !matches!(self.last, None | Some(b'\r' | b'\n' | END_OF_INPUT));
        let times = if within_line { 2 } else { 1 };
        self.backlog.extend(std::iter::repeat_n(END_OF_INPUT, times));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new(Escapes::new(Some(b'~')))
    }

    fn all(keys: &mut Keys) -> Vec<u8> {
        let mut bytes = Vec::new();
        while keys.is_waiting() {
            bytes.extend_from_slice(&keys.next_chunk());
        }
        bytes
    }

    #[test]
    fn ctrl_c_overtakes_a_paste_and_nothing_else() {
        let mut keys = keys();
        assert_eq!(keys.take(b"one\x03", Door::Open), []);
        assert_eq!(
            keys.take(b"two\x03three", Door::Open),
            [Ask::Interrupt(Bytes::from_static(b"\x03three"))]
        );
        assert!(!keys.is_waiting());
        assert_eq!(keys.take(b"\x18\x03", Door::Open), []);
        assert_eq!(all(&mut keys), b"\x18\x03");
    }

    #[test]
    fn behind_a_shut_door_everything_keeps_its_order() {
        let mut keys = keys();
        assert_eq!(keys.take(b"a", Door::Shut), []);
        assert_eq!(keys.take(b"\x03b", Door::Shut), []);
        assert_eq!(all(&mut keys), b"a\x03b");
    }

    #[test]
    fn the_way_out_works_behind_a_shut_door_too() {
        let mut keys = keys();
        assert_eq!(keys.take(b"x\r~?~.y", Door::Shut), [Ask::Help, Ask::End]);
        assert_eq!(all(&mut keys), b"x\r");
    }

    #[test]
    fn the_end_of_input_is_ctrl_d() {
        for (typed, sent) in [
            (&b"exit\n"[..], &b"exit\n\x04"[..]),
            (b"exit", b"exit\x04\x04"),
            (b"", b"\x04"),
            (b"exit\n\x04", b"exit\n\x04\x04"),
        ] {
            let mut keys = keys();
            keys.take(typed, Door::Open);
            keys.end();
            assert!(!keys.is_hungry());
            assert_eq!(all(&mut keys), sent);
        }
    }

    #[test]
    fn a_huge_paste_waits_in_the_terminal_and_goes_in_pieces() {
        let mut keys = Keys::new(Escapes::new(None));
        while keys.is_hungry() {
            keys.take(&[b'x'; CHUNK], Door::Open);
        }
        assert_eq!(keys.next_chunk().len(), CHUNK);
        assert!(keys.is_hungry());
        assert_eq!(all(&mut keys).len(), LONGEST_BACKLOG - CHUNK);
    }
}
