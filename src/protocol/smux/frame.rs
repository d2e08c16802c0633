//! Frames of smux version 1: eight bytes of header, little-endian, then the data of a PSH.

use bytes::{BufMut as _, Bytes, BytesMut};

/// Length of a header.
pub const HEADER: usize = 8;
/// The most data that we put into one frame, as the agent's own library does.
pub const LONGEST_DATA: usize = 32_768;
/// Both ends are built for this version; there is no negotiation.
const VERSION: u8 = 1;

/// A stream of a mux session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// A stream begins.
    Syn,
    /// No more data comes.
    Fin,
    /// Data.
    Psh,
    /// Nothing: a sign of life.
    Nop,
}

impl Command {
    fn code(self) -> u8 {
        match self {
            Self::Syn => 0,
            Self::Fin => 1,
            Self::Psh => 2,
            Self::Nop => 3,
        }
    }
}

/// The peer speaks something else, or the bytes are out of step. The session is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not version 1.
    #[error("the agent's mux speaks version {0}, not {VERSION}")]
    Version(u8),
    /// Not a command of version 1.
    #[error("the agent's mux sent the unknown command {0}")]
    Command(u8),
    /// It opens streams, and takes no refusal.
    #[error("the agent's mux opens streams, which agents do not do")]
    Streams,
}

/// Writes a header.
pub fn put_header(into: &mut BytesMut, command: Command, stream: StreamId, length: u16) {
    into.put_u8(VERSION);
    into.put_u8(command.code());
    into.put_u16_le(length);
    into.put_u32_le(stream.0);
}

/// A piece of what the peer sent. Data comes as it arrives, a frame's in several pieces if need be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A header without data.
    Mark(Command, StreamId),
    /// Data of a stream, never empty.
    Data(StreamId, Bytes),
}

/// Takes frames out of a stream of bytes that is cut anywhere. Holds no data back, and at most one header.
#[derive(Debug, Default)]
pub struct Decoder {
    header: [u8; HEADER],
    have: usize,
    /// Data of the frame at hand that is still to come.
    open: Option<(StreamId, usize)>,
}

impl Decoder {
    /// The next piece of `bytes`, which loses what was taken; `None` when it is used up.
    ///
    /// # Errors
    /// When the bytes are no frames of version 1.
    pub fn next(&mut self, bytes: &mut Bytes) -> Result<Option<Piece>, FrameError> {
        loop {
            if bytes.is_empty() {
                return Ok(None);
            }
            if let Some((stream, left)) = self.open {
                let data = bytes.split_to(left.min(bytes.len()));
                let left = left - data.len();
                self.open = (left > 0).then_some((stream, left));
                return Ok(Some(Piece::Data(stream, data)));
            }
            let taken = bytes.split_to((HEADER - self.have).min(bytes.len()));
            for byte in taken {
                if let Some(slot) = self.header.get_mut(self.have) {
                    *slot = byte;
                }
                self.have += 1;
            }
            if self.have < HEADER {
                return Ok(None);
            }
            self.have = 0;
            let [version, command, l0, l1, s0, s1, s2, s3] = self.header;
            if version != VERSION {
                return Err(FrameError::Version(version));
            }
            let stream = StreamId(u32::from_le_bytes([s0, s1, s2, s3]));
            let command = match command {
                0 => Command::Syn,
                1 => Command::Fin,
                2 => Command::Psh,
                3 => Command::Nop,
                other => return Err(FrameError::Command(other)),
            };
            if command == Command::Psh {
                let length = usize::from(u16::from_le_bytes([l0, l1]));
                self.open = (length > 0).then_some((stream, length));
            } else {
                // Only a PSH has data, whatever its length field says; so has the reference.
                return Ok(Some(Piece::Mark(command, stream)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    fn all(decoder: &mut Decoder, bytes: &[u8]) -> Result<Vec<Piece>, FrameError> {
        let mut bytes = Bytes::copy_from_slice(bytes);
        let mut pieces = Vec::new();
        while let Some(piece) = decoder.next(&mut bytes)? {
            pieces.push(piece);
        }
        Ok(pieces)
    }

    #[test]
    fn known_frames_are_these_bytes() {
        let mut bytes = BytesMut::new();
        put_header(&mut bytes, Command::Syn, StreamId(3), 0);
        put_header(&mut bytes, Command::Psh, StreamId(3), 5);
        bytes.extend_from_slice(b"hello");
        assert_eq!(bytes, &hex!("0100000003000000 010205000300000068656c6c6f")[..]);
        assert_eq!(
            all(&mut Decoder::default(), &bytes).unwrap(),
            [
                Piece::Mark(Command::Syn, StreamId(3)),
                Piece::Data(StreamId(3), Bytes::from_static(b"hello"))
            ]
        );
    }

    #[test]
    fn other_versions_and_commands_are_errors() {
        let read = |bytes: &[u8]| all(&mut Decoder::default(), bytes);
        assert_eq!(read(&hex!("0200000003000000")), Err(FrameError::Version(2)));
        assert_eq!(read(&hex!("0104000003000000")), Err(FrameError::Command(4)));
        assert_eq!(read(&hex!("01020000030000000103000000000000")).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            frames in prop::collection::vec((0..4_u8, any::<u32>(), prop::collection::vec(any::<u8>(), 0..50)), 0..20),
            cuts in prop::collection::vec(1..30_usize, 1..40),
        ) {
            let mut wire = BytesMut::new();
            let mut expected: Vec<(Option<Command>, u32, Vec<u8>)> = Vec::new();
            for (command, stream, data) in frames {
                let command = [Command::Syn, Command::Fin, Command::Psh, Command::Nop][usize::from(command)];
                let data = if command == Command::Psh { data } else { Vec::new() };
                put_header(&mut wire, command, StreamId(stream), u16::try_from(data.len()).unwrap());
                wire.extend_from_slice(&data);
                if command == Command::Psh {
                    if !data.is_empty() {
                        expected.push((None, stream, data));
                    }
                } else {
                    expected.push((Some(command), stream, data));
                }
            }
            let mut decoder = Decoder::default();
            let mut seen: Vec<(Option<Command>, u32, Vec<u8>)> = Vec::new();
            let mut rest = &wire[..];
            let mut within = 0;
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                rest = later;
                for piece in all(&mut decoder, now).unwrap() {
                    match piece {
                        Piece::Mark(command, stream) => seen.push((Some(command), stream.0, Vec::new())),
                        Piece::Data(stream, data) => {
                            prop_assert!(!data.is_empty());
                            if within == 0 {
                                let length = expected.get(seen.len()).map_or(0, |frame| frame.2.len());
                                seen.push((None, stream.0, Vec::new()));
                                within = length;
                            }
                            within -= data.len();
                            seen.last_mut().unwrap().2.extend_from_slice(&data);
                        }
                    }
                }
            }
            prop_assert_eq!(seen, expected);
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = all(&mut Decoder::default(), &bytes);
        }
    }
}
