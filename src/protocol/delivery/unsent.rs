//! What waits to be sent for the first time: control before data, data in order and joined up.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::protocol::message::PayloadType;

/// The queues of one direction.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    /// Handshake answers, sizes: sent before any data and not held back.
    control: VecDeque<(PayloadType, Bytes)>,
    /// Data, and what keeps its place among it.
    data: VecDeque<(PayloadType, Bytes)>,
    data_bytes: usize,
    /// Data waits until the agent would not throw it away.
    released: bool,
}

impl Unsent {
    /// Queues bytes as data.
    pub(super) fn write(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.data_bytes += bytes.len();
            self.data.push_back((PayloadType::OUTPUT, bytes));
        }
    }

    /// Drops all data and queues these bytes, before everything else once data may be sent at all.
    pub(super) fn overtake(&mut self, bytes: Bytes) {
        self.data.clear();
        self.data_bytes = 0;
        if bytes.is_empty() {
            return;
        }
        if self.released {
            self.control.push_back((PayloadType::OUTPUT, bytes));
        } else {
            self.write(bytes);
        }
    }

    pub(super) fn control(&mut self, payload_type: PayloadType, payload: Bytes) {
        self.control.push_back((payload_type, payload));
    }

    /// Queues a message that keeps its place among the data.
    pub(super) fn in_order(&mut self, payload_type: PayloadType, payload: Bytes) {
        self.data_bytes += payload.len();
        self.data.push_back((payload_type, payload));
    }

    /// From now on there is data to send.
    pub(super) fn release(&mut self) {
        self.released = true;
    }

    pub(super) fn is_released(&self) -> bool {
        self.released
    }

    /// Bytes of data that wait.
    pub(super) fn data_bytes(&self) -> usize {
        self.data_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.data.is_empty() && self.control.is_empty()
    }

    pub(super) fn next_control(&mut self) -> Option<(PayloadType, Bytes)> {
        self.control.pop_front()
    }

    /// The next payload of data: small writes joined, large ones cut, to no more than `longest` bytes.
    pub(super) fn next_data(&mut self, longest: usize) -> Option<(PayloadType, Bytes)> {
        if !self.released {
            return None;
        }
        let (payload_type, mut first) = self.data.pop_front()?;
        if payload_type == PayloadType::OUTPUT && first.len() > longest {
            let rest = first.split_off(longest);
            self.data.push_front((payload_type, rest));
        }
        let mut joined = None;
        let mut length = first.len();
        while let Some((PayloadType::OUTPUT, next)) = self.data.front()
            && payload_type == PayloadType::OUTPUT
        {
            if length + next.len() > longest {
                break;
            }
            length += next.len();
            joined
                .get_or_insert_with(|| BytesMut::from(&first[..]))
                .extend_from_slice(next);
            self.data.pop_front();
        }
        self.data_bytes = self.data_bytes.saturating_sub(length);
        Some((payload_type, joined.map_or(first, BytesMut::freeze)))
    }
}
