//! One stream: what waits to be sent, and how far its two directions have come.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// What it costs to keep a piece of received data beside its bytes.
const PIECE: usize = 128;

/// How far a direction has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Data flows.
    Open,
    /// A FIN follows the data that waits.
    Finishing,
    /// The FIN is on its way, or was received.
    Finished,
}

#[derive(Debug)]
pub(super) struct Stream {
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    /// The pieces that the local reader has not taken whole yet, by their bytes left.
    untaken: VecDeque<usize>,
    pub(super) near: Side,
    pub(super) far: Side,
    /// Whether the far end has said that it sends no more; it may say so after the stream was given up.
    pub(super) has_said_so: bool,
    /// When its turn comes: bytes sent, on a clock that all streams of the session share. A stream that was
    /// idle starts at the present, so it goes before a busy one but cannot save up turns.
    pub(super) turn: u64,
}

impl Stream {
    pub(super) fn new(turn: u64) -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            untaken: VecDeque::new(),
            near: Side::Open,
            far: Side::Open,
            has_said_so: false,
            turn,
        }
    }

    /// Whether it has something to send: data, or the FIN behind them.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting_bytes > 0 || self.near == Side::Finishing
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.waiting_bytes += bytes.len();
            self.waiting.push_back(bytes);
        }
    }

    /// A piece of data has come. What it costs to keep.
    pub(super) fn receive(&mut self, bytes: usize) -> usize {
        self.untaken.push_back(bytes);
        bytes + PIECE
    }

    /// The local reader has taken so many bytes. What need not be kept any more.
    pub(super) fn taken(&mut self, mut bytes: usize) -> usize {
        let mut freed = 0;
        while let Some(left) = self.untaken.front_mut() {
            let part = bytes.min(*left);
            *left -= part;
            bytes -= part;
            freed += part;
            if *left > 0 {
                break;
            }
            self.untaken.pop_front();
            freed += PIECE;
        }
        freed
    }

    /// Nobody will take anything. What need not be kept any more.
    pub(super) fn give_up(&mut self) -> usize {
        self.taken(usize::MAX)
    }

    pub(super) fn is_taken(&self) -> bool {
        self.untaken.is_empty()
    }

    /// Moves exactly `length` bytes that wait, which there must be, into a message.
    pub(super) fn take(&mut self, mut length: usize, into: &mut BytesMut) {
        self.waiting_bytes = self.waiting_bytes.saturating_sub(length);
        while length > 0 {
            let Some(front) = self.waiting.front_mut() else {
                return;
            };
            let piece = front.split_to(length.min(front.len()));
            if front.is_empty() {
                self.waiting.pop_front();
            }
            length -= piece.len();
            into.extend_from_slice(&piece);
        }
    }
}
