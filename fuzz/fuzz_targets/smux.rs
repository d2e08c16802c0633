//! smux by any peer and any user: nothing panics, frames that are cut anywhere mean the same, and the budget is what
//! waits for local readers.

#![no_main]

use std::collections::BTreeMap;
use std::time::Duration;

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ssmx_fuzz::protocol::smux::{Event, Keepalive, Mux, StreamId};
use ssmx_fuzz::start;

#[derive(Debug, Arbitrary)]
enum Operation {
    Open,
    Write(u8, Vec<u8>),
    Finish(u8),
    Abort(u8),
    Take(u8, u16),
    /// A frame for a stream that may be open.
    Hear {
        command: u8,
        stream: u8,
        data: Vec<u8>,
        cut: u8,
    },
    HearBytes(Vec<u8>),
    Transmit(u16),
    Wait(u16),
}

fuzz_target!(|input: (bool, Vec<Operation>)| {
    let (nops, operations) = input;
    let keepalive = if nops { Keepalive::Nops } else { Keepalive::Off };
    let mut now = start();
    let mut mux = Mux::new(4096, keepalive, now);
    let mut open: Vec<StreamId> = Vec::new();
    let mut waiting: BTreeMap<StreamId, usize> = BTreeMap::new();
    for operation in operations {
        let nth = |at: u8| open.get(usize::from(at) % open.len().max(1)).copied();
        match operation {
            Operation::Open => open.extend(mux.open()),
            Operation::Write(at, bytes) => {
                if let Some(id) = nth(at) {
                    mux.write(id, bytes.into());
                }
            }
            Operation::Finish(at) => {
                if let Some(id) = nth(at) {
                    mux.finish(id);
                }
            }
            Operation::Abort(at) => {
                if let Some(id) = nth(at) {
                    mux.abort(id);
                    waiting.remove(&id);
                }
            }
            Operation::Take(at, most) => {
                if let Some(id) = nth(at)
                    && let Some(left) = waiting.get_mut(&id)
                {
                    let taken = usize::from(most).min(*left);
                    *left -= taken;
                    mux.taken(id, taken);
                }
            }
            Operation::Hear {
                command,
                stream,
                data,
                cut,
            } => {
                let id = nth(stream).map_or(u32::from(stream), |id| id.0);
                let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
                let mut frame = vec![1, command % 5];
                frame.extend(length.to_le_bytes());
                frame.extend(id.to_le_bytes());
                frame.extend(&data[..usize::from(length)]);
                let (first, second) = frame.split_at(usize::from(cut) % (frame.len() + 1));
                let heard = mux.receive(Bytes::copy_from_slice(first));
                if heard.is_err() || mux.receive(Bytes::copy_from_slice(second)).is_err() {
                    return;
                }
            }
            Operation::HearBytes(bytes) => {
                if mux.receive(bytes.into()).is_err() {
                    return;
                }
            }
            Operation::Transmit(longest) => {
                let longest = usize::from(longest) + 9;
                while let Some(bytes) = mux.poll_transmit(longest) {
                    assert!(!bytes.is_empty() && bytes.len() <= longest);
                }
            }
            Operation::Wait(ms) => {
                now += Duration::from_millis(ms.into());
                mux.handle_timeout(now);
            }
        }
        while let Some(event) = mux.poll_event() {
            match event {
                Event::Data(id, bytes) => *waiting.entry(id).or_default() += bytes.len(),
                Event::Sent(..) | Event::FarFinished(_) => {}
            }
        }
        assert!(mux.len() <= open.len());
    }
});
