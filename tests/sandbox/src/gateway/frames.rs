//! WebSocket frames, the server's side (RFC 6455).
//!
//! Our own, since the sandbox must be able to do what a library will not: leave pings unanswered, put binary
//! into TEXT frames, stop in the middle.

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The largest message that is put together; far beyond what clients send.
const LARGEST: usize = 64 << 20;

const CONTINUATION: u8 = 0;
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// A message in TEXT frames; not checked for UTF-8.
    Text(Bytes),
    /// A message in BINARY frames.
    Binary(Bytes),
    /// A ping with its payload.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// The client's last frame, with its code where it gave one.
    Close(Option<u16>),
}

/// Why the frames cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("the connection failed")]
    Io(#[from] std::io::Error),
    #[error("the client broke the WebSocket protocol: {0}")]
    Broken(&'static str),
}

/// Reads frames. [`Frames::next`] may be dropped and called again: nothing is lost.
pub(super) struct Frames<R> {
    reader: R,
    buffer: BytesMut,
    /// The fragments so far, and whether they are text.
    fragments: Option<(BytesMut, bool)>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: BytesMut::with_capacity(64 << 10),
            fragments: None,
        }
    }

    /// The next frame, or message where it came in fragments; `None` at the end of the stream.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            while let Some(raw) = self.take_raw()? {
                if let Some(frame) = self.assemble(raw)? {
                    return Ok(Some(frame));
                }
            }
            self.buffer.reserve(32 << 10);
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads and forgets until the stream ends.
    pub(super) async fn drain(&mut self) {
        loop {
            self.buffer.clear();
            self.buffer.reserve(32 << 10);
            match self.reader.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    fn take_raw(&mut self) -> Result<Option<Raw>, FrameError> {
        let (Some(first), Some(second)) = (self.buffer.first(), self.buffer.get(1)) else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(FrameError::Broken("a reserved bit is set"));
        }
        if second & 0x80 == 0 {
            return Err(FrameError::Broken("a frame is not masked"));
        }
        let (is_final, opcode) = (first & 0x80 != 0, first & 0x0f);
        let (length_bytes, short) = match second & 0x7f {
            126 => (2, 0),
            127 => (8, 0),
            short => (0, usize::from(short)),
        };
        let Some(long) = self.buffer.get(2..2 + length_bytes) else {
            return Ok(None);
        };
        let length = long
            .iter()
            .try_fold(short, |length, byte| {
                length.checked_mul(256)?.checked_add(usize::from(*byte))
            })
            .filter(|length| *length <= LARGEST)
            .ok_or(FrameError::Broken("a frame is too long"))?;
        if opcode >= CLOSE && (length > 125 || !is_final) {
            return Err(FrameError::Broken("a control frame is too long"));
        }
        let header = 2 + length_bytes + 4;
        if self.buffer.len() < header + length {
            self.buffer.reserve(header + length - self.buffer.len());
            return Ok(None);
        }
        let mut mask = [0; 4];
        self.buffer.advance(2 + length_bytes);
        self.buffer.copy_to_slice(&mut mask);
        let mut payload = self.buffer.split_to(length);
        unmask(&mut payload, mask);
        Ok(Some(Raw {
            is_final,
            opcode,
            payload,
        }))
    }

    fn assemble(&mut self, raw: Raw) -> Result<Option<Frame>, FrameError> {
        let message = |payload: Bytes, is_text| {
            if is_text {
                Frame::Text(payload)
            } else {
                Frame::Binary(payload)
            }
        };
        match raw.opcode {
            PING => Ok(Some(Frame::Ping(raw.payload.freeze()))),
            PONG => Ok(Some(Frame::Pong)),
            CLOSE => {
                let code = raw.payload.first_chunk::<2>().copied().map(u16::from_be_bytes);
                Ok(Some(Frame::Close(code)))
            }
            TEXT | BINARY if self.fragments.is_some() => Err(FrameError::Broken("fragments are mixed")),
            TEXT | BINARY if raw.is_final => Ok(Some(message(raw.payload.freeze(), raw.opcode == TEXT))),
            TEXT | BINARY => {
                self.fragments = Some((raw.payload, raw.opcode == TEXT));
                Ok(None)
            }
            CONTINUATION => {
                let (mut so_far, is_text) = self
                    .fragments
                    .take()
                    .ok_or(FrameError::Broken("a fragment continues nothing"))?;
                if so_far.len() + raw.payload.len() > LARGEST {
                    return Err(FrameError::Broken("a message is too long"));
                }
                so_far.extend_from_slice(&raw.payload);
                if raw.is_final {
                    return Ok(Some(message(so_far.freeze(), is_text)));
                }
                self.fragments = Some((so_far, is_text));
                Ok(None)
            }
            _ => Err(FrameError::Broken("an opcode is unknown")),
        }
    }
}

struct Raw {
    is_final: bool,
    opcode: u8,
    payload: BytesMut,
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// Appends one unfragmented frame.
pub(super) fn put(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    match payload.len() {
        length @ 0..=125 => out.push(length as u8),
        length @ 126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// Appends a close frame.
pub(super) fn put_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let mut payload = code.to_be_bytes().to_vec();
    // 125 bytes are the most that a control frame holds.
    let end = reason.floor_char_boundary(123);
    payload.extend_from_slice(reason.get(..end).unwrap_or_default().as_bytes());
    put(out, CLOSE, &payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, 0, payload);
        bytes[0] = first;
        let header = bytes.len() - payload.len();
        bytes[1] |= 0x80;
        let mask = [1, 2, 3, 4];
        let mut body = payload.to_vec();
        unmask(&mut body, mask);
        bytes.truncate(header);
        bytes.extend_from_slice(&mask);
        bytes.extend_from_slice(&body);
        bytes
    }

    async fn read(bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Frames::new(bytes);
        let mut read = Vec::new();
        while let Some(frame) = frames.next().await.unwrap() {
            read.push(frame);
        }
        read
    }

    #[tokio::test]
    async fn the_example_of_the_rfc_is_read() {
        let bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(read(&bytes).await, [Frame::Text(Bytes::from_static(b"Hello"))]);
    }

    #[tokio::test]
    async fn every_length_is_read() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 200_000] {
            let payload: Vec<u8> = (0..length).map(|n| n as u8).collect();
            assert_eq!(
                read(&masked(0x82, &payload)).await,
                [Frame::Binary(payload.into())],
                "{length}"
            );
        }
    }

    #[tokio::test]
    async fn fragments_make_a_message_and_pings_may_come_between() {
        let mut bytes = masked(0x02, b"ab");
        bytes.extend(masked(0x89, b"keepalive"));
        bytes.extend(masked(0x00, b"c"));
        bytes.extend(masked(0x80, b"d"));
        bytes.extend(masked(0x88, &[0x03, 0xe8]));
        let wanted = [
            Frame::Ping(Bytes::from_static(b"keepalive")),
            Frame::Binary(Bytes::from_static(b"abcd")),
            Frame::Close(Some(1000)),
        ];
        assert_eq!(read(&bytes).await, wanted);
    }

    #[tokio::test]
    async fn what_breaks_the_protocol_is_refused() {
        for bytes in [
            vec![0x82, 0x01, 0x00],
            vec![0xc2, 0x80, 0, 0, 0, 0],
            masked(0x80, b"nothing before"),
            masked(0x83, b"x"),
            masked(0x89, &[0; 126]),
            vec![0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert!(Frames::new(&bytes[..]).next().await.is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_letters() {
        let mut out = Vec::new();
        put_close(&mut out, 1008, &"é".repeat(100));
        assert_eq!(out.len(), 2 + 2 + 122);
        assert!(std::str::from_utf8(&out[4..]).is_ok());
    }
}
