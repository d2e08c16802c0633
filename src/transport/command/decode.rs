//! The output of a command on its way back: the status is taken out of it, base64 undone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};

use super::{Carriage, Reading};

/// A status with its sign.
const LONGEST_STATUS: usize = 11;
const END: u8 = 0x07;

/// What should have been base64 is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the remote's output is not base64; is there a `base64` program on the node?")]
pub struct NotBase64;

/// Reads one of the two streams.
#[derive(Debug)]
pub(in crate::transport) struct Decoder {
    mark: Option<Vec<u8>>,
    carriage: Carriage,
    /// What may be the beginning of the mark.
    held: BytesMut,
    /// Less than four digits of base64.
    digits: Vec<u8>,
    status: Option<i32>,
}

impl Decoder {
    /// For stdout, where the status stands.
    pub(in crate::transport) fn new(reading: &Reading) -> Self {
        Self {
            mark: reading.mark.as_ref().map(|mark| mark.prefix().into_bytes()),
            carriage: reading.carriage,
            held: BytesMut::new(),
            digits: Vec::new(),
            status: None,
        }
    }

    /// For stderr.
    pub(in crate::transport) fn for_stderr(reading: &Reading) -> Self {
        let unmarked = Reading {
            mark: None,
            carriage: match &reading.mark {
                // The two are one there; what still comes apart is the agent's or the shell's.
                Some(_) => Carriage::Plain,
                None => reading.carriage,
            },
            ..reading.clone()
        };
        Self::new(&unmarked)
    }

    /// What can be handed on of these bytes.
    pub(in crate::transport) fn push(&mut self, bytes: &[u8]) -> Result<Bytes, NotBase64> {
        let Some(mark) = self.mark.clone() else {
            return self.uncarried(bytes);
        };
        self.held.extend_from_slice(bytes);
        let mut free = BytesMut::new();
        loop {
            match self.look(&mark) {
                Look::Nothing { until } => {
                    free.extend_from_slice(&self.held.split_to(until));
                    return self.uncarried(&free);
                }
                Look::Status { from, to, status } => {
                    free.extend_from_slice(&self.held.split_to(from));
                    drop(self.held.split_to(to - from));
                    self.status = Some(status);
                }
            }
        }
    }

    /// The rest, when nothing more comes.
    pub(in crate::transport) fn finish(&mut self) -> Result<Bytes, NotBase64> {
        let held = self.held.split();
        let mut rest = BytesMut::from(&self.uncarried(&held)?[..]);
        if !self.digits.is_empty() {
            rest.extend_from_slice(&STANDARD.decode(&self.digits).map_err(|_| NotBase64)?);
            self.digits.clear();
        }
        Ok(rest.freeze())
    }

    /// The remote's status, where it has come.
    pub(in crate::transport) fn status(&self) -> Option<i32> {
        self.status
    }

    fn look(&self, mark: &[u8]) -> Look {
        let mut from = 0;
        while let Some(rest) = self.held.get(from..).filter(|rest| !rest.is_empty()) {
            let Some(at) = rest.iter().position(|byte| Some(byte) == mark.first()) else {
                break;
            };
            from += at;
            let rest = self.held.get(from..).unwrap_or_default();
            if let Some(tail) = rest.strip_prefix(mark) {
                match tail.iter().position(|byte| *byte == END) {
                    Some(end) => {
                        let digits = tail.get(..end).unwrap_or_default();
                        let status = std::str::from_utf8(digits)
                            .ok()
                            .and_then(|text| text.parse().ok());
                        if let Some(status) = status {
                            let to = from + mark.len() + end + 1;
                            return Look::Status { from, to, status };
                        }
                    }
                    None if tail.len() <= LONGEST_STATUS => return Look::Nothing { until: from },
                    None => {}
                }
            } else if mark.starts_with(rest) {
                return Look::Nothing { until: from };
            }
            from += 1;
        }
        Look::Nothing {
            until: self.held.len(),
        }
    }

    fn uncarried(&mut self, bytes: &[u8]) -> Result<Bytes, NotBase64> {
        match self.carriage {
            Carriage::Plain => Ok(Bytes::copy_from_slice(bytes)),
            Carriage::Base64 => {
                let digits = bytes.iter().filter(|byte| !byte.is_ascii_whitespace());
                self.digits.extend(digits);
                // The last group may have padding, which only the end may have.
                let whole = self.digits.len().saturating_sub(1) / 4 * 4;
                let decoded = STANDARD.decode(self.digits.get(..whole).unwrap_or_default());
                self.digits.drain(..whole);
                decoded.map(Bytes::from).map_err(|_| NotBase64)
            }
        }
    }
}

enum Look {
    /// No status; what stands before `until` belongs to the output.
    Nothing { until: usize },
    /// The status, and where it stands.
    Status { from: usize, to: usize, status: i32 },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Mark;
    use super::*;

    fn marked() -> (Decoder, String) {
        let mark = Mark::new();
        let prefix = mark.prefix();
        let reading = Reading {
            mark: Some(mark),
            ..Reading::default()
        };
        (Decoder::new(&reading), prefix)
    }

    #[test]
    fn a_prompt_with_an_escape_is_not_held_back() {
        let (mut decoder, prefix) = marked();
        assert_eq!(decoder.push(b"\x1b[31m$ ").unwrap(), &b"\x1b[31m$ "[..]);
        assert_eq!(decoder.push(b"\x1b").unwrap(), &b""[..]);
        assert_eq!(decoder.push(b"]0;title\x07").unwrap(), &b"\x1b]0;title\x07"[..]);
        let forged = format!("{}9\x07", prefix.replace("ssmx;", "ssmx;0"));
        assert_eq!(decoder.push(forged.as_bytes()).unwrap(), forged.as_bytes());
        assert_eq!(decoder.status(), None);
        let broken = format!("{prefix}not a number\x07");
        assert_eq!(decoder.push(broken.as_bytes()).unwrap(), broken.as_bytes());
        let cut = format!("{prefix}1");
        assert_eq!(decoder.push(cut.as_bytes()).unwrap(), &b""[..]);
        assert_eq!(decoder.finish().unwrap(), cut.as_bytes(), "nothing is swallowed");
    }

    #[test]
    fn what_is_no_base64_is_said() {
        let mut decoder = Decoder::new(&Reading {
            carriage: Carriage::Base64,
            ..Reading::default()
        });
        assert!(decoder.push(b"sh: base64: not found\n").is_err() || decoder.finish().is_err());
    }

    proptest! {
        #[test]
        fn the_status_is_taken_out_wherever_the_cuts_are(
            before in proptest::collection::vec(any::<u8>(), 0..60), status in -200..200_i32, cut in 1..20_usize,
        ) {
            let (mut decoder, prefix) = marked();
            let mut stream = before.clone();
            stream.extend_from_slice(format!("{prefix}{status}\x07").as_bytes());
            let mut read = Vec::new();
            for piece in stream.chunks(cut) {
                read.extend_from_slice(&decoder.push(piece).unwrap());
            }
            read.extend_from_slice(&decoder.finish().unwrap());
            prop_assert_eq!(read, before);
            prop_assert_eq!(decoder.status(), Some(status));
        }

        #[test]
        fn base64_is_undone_wherever_the_cuts_are(
            bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 1..40_usize,
        ) {
            let mut decoder = Decoder::new(&Reading { carriage: Carriage::Base64, ..Reading::default() });
            let text = STANDARD.encode(&bytes).into_bytes();
            let lines: Vec<u8> = text.chunks(76).flat_map(|line| [line, b"\n"].concat()).collect();
            let mut read = Vec::new();
            for piece in lines.chunks(cut) {
                read.extend_from_slice(&decoder.push(piece).unwrap());
            }
            read.extend_from_slice(&decoder.finish().unwrap());
            prop_assert_eq!(read, bytes);
        }

        #[test]
        fn no_stream_panics(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..20)) {
            let (mut decoder, _) = marked();
            let mut read = Vec::new();
            for piece in &pieces {
                read.extend_from_slice(&decoder.push(piece).unwrap());
            }
            read.extend_from_slice(&decoder.finish().unwrap());
            prop_assert_eq!(read, pieces.concat());
        }
    }
}
