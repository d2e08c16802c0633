//! The client's half against a far half that was written apart from it: whole frames from one growing buffer,
//! so that a misreading of the format would not be shared.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

#[expect(
    clippy::disallowed_methods,
    reason = "any instant will do as the start of a test"
)]
fn start() -> Instant {
    Instant::now()
}

fn mux() -> Mux {
    Mux::new(1 << 20, Keepalive::Off, start())
}

/// The agent's half, as its library behaves.
#[derive(Default)]
struct Far {
    inbox: Vec<u8>,
    streams: BTreeMap<u32, FarStream>,
    nops: usize,
    outbox: Vec<u8>,
}

#[derive(Default)]
struct FarStream {
    heard: Vec<u8>,
    finished: bool,
}

impl Far {
    fn take(&mut self, bytes: &[u8]) {
        self.inbox.extend_from_slice(bytes);
        loop {
            let Some(header) = self.inbox.get(..8) else { return };
            assert_eq!(header[0], 1, "version");
            let length = usize::from(header[2]) | usize::from(header[3]) << 8;
            let id = u32::from_le_bytes(header[4..8].try_into().unwrap());
            let command = header[1];
            let whole = if command == 2 { 8 + length } else { 8 };
            if self.inbox.len() < whole {
                return;
            }
            let frame: Vec<u8> = self.inbox.drain(..whole).collect();
            match command {
                0 => {
                    assert_eq!(id % 2, 1, "a client's streams are odd");
                    self.streams.entry(id).or_default();
                }
                1 => {
                    if let Some(stream) = self.streams.get_mut(&id) {
                        assert!(!stream.finished, "two FINs");
                        stream.finished = true;
                    }
                }
                2 => {
                    assert!(length <= LONGEST_DATA);
                    let stream = self.streams.get_mut(&id).expect("SYN comes first");
                    assert!(!stream.finished, "data after FIN");
                    stream.heard.extend_from_slice(&frame[8..]);
                }
                3 => self.nops += 1,
                other => panic!("command {other}"),
            }
        }
    }

    fn send(&mut self, command: u8, id: u32, data: &[u8]) {
        let length = u16::try_from(data.len()).unwrap();
        self.outbox.extend_from_slice(&[1, command]);
        self.outbox.extend_from_slice(&length.to_le_bytes());
        self.outbox.extend_from_slice(&id.to_le_bytes());
        self.outbox.extend_from_slice(data);
    }
}

fn carry(mux: &mut Mux, far: &mut Far) {
    while let Some(bytes) = mux.poll_transmit(1024) {
        assert!(bytes.len() <= 1024);
        far.take(&bytes);
    }
}

#[test]
fn a_stream_opens_speaks_and_ends() {
    let (mut mux, mut far) = (mux(), Far::default());
    let id = mux.open().unwrap();
    mux.write(id, Bytes::from_static(b"hello"));
    mux.finish(id);
    mux.write(id, Bytes::from_static(b"too late"));
    assert_eq!(
        mux.poll_transmit(1024).unwrap(),
        &hex_literal::hex!("0100000003000000 010205000300000068656c6c6f 0101000003000000")[..]
    );
    assert_eq!(mux.poll_transmit(1024), None);
    far.send(2, id.0, b"bye");
    far.send(1, id.0, b"");
    far.send(1, id.0, b"");
    far.send(2, id.0, b"after the end");
    mux.receive(far.outbox.into()).unwrap();
    let events: Vec<Event> = std::iter::from_fn(|| mux.poll_event()).collect();
    assert_eq!(
        events,
        [
            Event::Sent(id, 5),
            Event::Data(id, Bytes::from_static(b"bye")),
            Event::FarFinished(id)
        ]
    );
    assert_eq!(mux.len(), 1, "its last words are not taken yet");
    mux.taken(id, 3);
    assert!(mux.is_empty());
}

#[test]
fn a_light_stream_does_not_wait_behind_heavy_ones() {
    let mut mux = mux();
    let heavy: Vec<StreamId> = (0..4).map(|_| mux.open().unwrap()).collect();
    for id in &heavy {
        mux.write(*id, Bytes::from(vec![b'x'; 1 << 20]));
    }
    for _ in 0..500 {
        mux.poll_transmit(1024).unwrap();
    }
    while mux.poll_event().is_some() {}
    let light = mux.open().unwrap();
    mux.write(light, Bytes::from_static(b"please"));
    mux.poll_transmit(1024).unwrap();
    let first = mux.poll_event().unwrap();
    assert_eq!(first, Event::Sent(light, 6));
}

#[test]
fn an_old_heavy_stream_is_not_starved_by_a_new_one() {
    let mut mux = mux();
    let old = mux.open().unwrap();
    mux.write(old, Bytes::from(vec![b'x'; 4 << 20]));
    for _ in 0..1000 {
        mux.poll_transmit(1024).unwrap();
    }
    let new = mux.open().unwrap();
    mux.write(new, Bytes::from(vec![b'x'; 4 << 20]));
    while mux.poll_event().is_some() {}
    let mut sent: BTreeMap<StreamId, usize> = BTreeMap::new();
    for _ in 0..1000 {
        mux.poll_transmit(1024).unwrap();
        while let Some(Event::Sent(id, bytes)) = mux.poll_event() {
            *sent.entry(id).or_default() += bytes;
        }
    }
    let (old, new) = (sent[&old], sent[&new]);
    assert!(old.abs_diff(new) <= 2048, "{old} beside {new}");
}

#[test]
fn an_untaken_stream_congests_the_session_until_it_is_taken_or_given_up() {
    let mut mux = Mux::new(10_000, Keepalive::Off, start());
    let (slow, other) = (mux.open().unwrap(), mux.open().unwrap());
    let mut far = Far::default();
    far.send(2, slow.0, &[0; 9000]);
    far.send(2, other.0, &[0; 2000]);
    mux.receive(far.outbox.into()).unwrap();
    assert!(mux.is_congested());
    mux.taken(other, 2000);
    assert!(!mux.is_congested());
    mux.taken(slow, 100_000);
    let mut far = Far::default();
    far.send(2, slow.0, &[0; 10_000]);
    mux.receive(far.outbox.into()).unwrap();
    assert!(mux.is_congested());
    mux.abort(slow);
    assert!(!mux.is_congested());
}

#[test]
fn a_byte_does_not_keep_the_message_that_it_came_with() {
    let mut mux = mux();
    let id = mux.open().unwrap();
    let mut far = Far::default();
    far.send(2, id.0, b"y");
    far.send(2, 999, &[0; 60_000]);
    let message = Bytes::from(far.outbox);
    mux.receive(message.clone()).unwrap();
    let Some(Event::Data(_, data)) = mux.poll_event() else {
        panic!("no data")
    };
    assert!(!message.as_ptr_range().contains(&data.as_ptr()));
    // What is most of its message is not copied.
    let mut far = Far::default();
    far.send(2, id.0, &[0; 1000]);
    let message = Bytes::from(far.outbox);
    mux.receive(message.clone()).unwrap();
    let Some(Event::Data(_, data)) = mux.poll_event() else {
        panic!("no data")
    };
    assert!(message.as_ptr_range().contains(&data.as_ptr()));
}

#[test]
fn many_small_pieces_congest_the_session_as_few_large_ones_do() {
    let mut mux = Mux::new(10_000, Keepalive::Off, start());
    let id = mux.open().unwrap();
    let mut far = Far::default();
    for _ in 0..100 {
        far.send(2, id.0, b"y");
    }
    mux.receive(far.outbox.into()).unwrap();
    assert!(mux.is_congested());
    mux.taken(id, 50);
    assert!(!mux.is_congested());
    mux.taken(id, 50);
    assert_eq!(mux.untaken, 0);
}

#[test]
fn a_stream_given_up_is_silent_from_then_on() {
    let (mut mux, mut far) = (mux(), Far::default());
    let id = mux.open().unwrap();
    mux.write(id, Bytes::from_static(b"unsent"));
    mux.abort(id);
    carry(&mut mux, &mut far);
    assert_eq!(far.streams[&id.0].heard, b"");
    assert!(far.streams[&id.0].finished);
    far.send(2, id.0, b"late");
    far.send(1, id.0, b"");
    mux.receive(far.outbox.into()).unwrap();
    assert_eq!(mux.poll_event(), Some(Event::FarFinished(id)));
    assert_eq!(mux.poll_event(), None);
    assert!(mux.is_empty());
}

#[test]
fn last_words_go_out_though_the_speaker_is_gone() {
    let (mut mux, mut far) = (mux(), Far::default());
    let id = mux.open().unwrap();
    mux.write(id, Bytes::from_static(b"QUIT"));
    mux.finish(id);
    mux.abort(id);
    carry(&mut mux, &mut far);
    assert_eq!(far.streams[&id.0].heard, b"QUIT");
    assert!(far.streams[&id.0].finished);
    assert!(mux.is_empty());
}

#[test]
fn the_agent_opens_no_streams() {
    let (mut mux, mut far) = (mux(), Far::default());
    far.send(0, 2, b"");
    mux.receive(std::mem::take(&mut far.outbox).into()).unwrap();
    assert_eq!(
        mux.poll_transmit(1024).unwrap(),
        &hex_literal::hex!("0101000002000000")[..]
    );
    // One that does not listen is not answered without end.
    for id in 2..2000 {
        far.send(0, id * 2, b"");
    }
    assert_eq!(mux.receive(far.outbox.into()), Err(FrameError::Streams));
    let mut refusals = Far::default();
    while let Some(bytes) = mux.poll_transmit(1024) {
        refusals.inbox.extend_from_slice(&bytes);
    }
    assert_eq!(refusals.inbox.len(), MOST_REFUSALS * HEADER);
}

#[test]
fn signs_of_life_go_to_agents_that_count_on_them() {
    let version = |text: &str| Some(text.parse().unwrap());
    assert_eq!(Keepalive::wanted_by(version("3.1.1511.0")), Keepalive::Nops);
    assert_eq!(Keepalive::wanted_by(version("3.1.1511.1")), Keepalive::Off);
    assert_eq!(Keepalive::wanted_by(version("3.3.1142.0")), Keepalive::Off);
    assert_eq!(Keepalive::wanted_by(None), Keepalive::Off);

    let now = start();
    let mut mux = Mux::new(1 << 20, Keepalive::Nops, now);
    let mut far = Far::default();
    let mut at = now;
    for _ in 0..6 {
        at = mux.poll_timeout().unwrap();
        mux.handle_timeout(at);
        carry(&mut mux, &mut far);
    }
    assert_eq!(far.nops, 6);
    assert_eq!(at - now, Duration::from_secs(60));
    assert_eq!(Mux::new(1, Keepalive::Off, now).poll_timeout(), None);
}

#[test]
fn nothing_is_read_over_whole_or_cut_to_one_frame() {
    let mut far = Far::default();
    far.take(&nothing(32_768));
    far.take(&nothing(HEADER));
    assert_eq!(far.nops, 4096 + 1);
    assert!(far.inbox.is_empty());
}

#[test]
fn numbers_run_out_without_a_panic() {
    let mut mux = mux();
    mux.next = Some(u32::MAX);
    assert_eq!(mux.open(), Some(StreamId(u32::MAX)));
    assert_eq!(mux.open(), None);
}

#[derive(Debug, Clone)]
enum Step {
    Open,
    Write(prop::sample::Index, Vec<u8>),
    Finish(prop::sample::Index),
    Abort(prop::sample::Index),
    FarWrite(prop::sample::Index, Vec<u8>),
    FarFinish(prop::sample::Index),
    Transmit(usize),
    Receive(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let which = any::<prop::sample::Index>;
    // Numbered from anywhere, so that a byte out of place shows.
    let data = || {
        (any::<u8>(), 0..3000_usize).prop_map(|(first, length)| {
            (0..length)
                .map(|at| first.wrapping_add(at as u8))
                .collect::<Vec<u8>>()
        })
    };
    prop_oneof![
        2 => Just(Step::Open),
        6 => (which(), data()).prop_map(|(which, data)| Step::Write(which, data)),
        1 => which().prop_map(Step::Finish),
        1 => which().prop_map(Step::Abort),
        6 => (which(), data()).prop_map(|(which, data)| Step::FarWrite(which, data)),
        1 => which().prop_map(Step::FarFinish),
        6 => (1..5000_usize).prop_map(Step::Transmit),
        6 => (1..5000_usize).prop_map(Step::Receive),
    ]
}

#[derive(Default)]
struct Story {
    written: Vec<u8>,
    finished: bool,
    aborted: bool,
    finished_first: bool,
    far_written: Vec<u8>,
    far_finished: bool,
    heard: Vec<u8>,
    heard_end: bool,
}

proptest! {
    /// Whatever happens in whatever order, every stream's bytes arrive whole, in order and before its end.
    #[test]
    fn both_halves_agree(steps in prop::collection::vec(step(), 1..100)) {
        let (mut mux, mut far) = (mux(), Far::default());
        let mut stories: BTreeMap<u32, Story> = BTreeMap::new();
        let steps = steps.into_iter().chain((0..100).flat_map(|_| [Step::Transmit(8192), Step::Receive(1 << 20)]));
        for step in steps {
            let ids: Vec<u32> = stories.keys().copied().collect();
            let pick = |which: prop::sample::Index| (!ids.is_empty()).then(|| *which.get(&ids));
            match step {
                Step::Open => { stories.insert(mux.open().unwrap().0, Story::default()); }
                Step::Write(which, data) => if let Some(id) = pick(which) {
                    let story = stories.get_mut(&id).unwrap();
                    if !story.finished && !story.aborted {
                        story.written.extend_from_slice(&data);
                    }
                    mux.write(StreamId(id), data.into());
                },
                Step::Finish(which) => if let Some(id) = pick(which) {
                    stories.get_mut(&id).unwrap().finished = true;
                    mux.finish(StreamId(id));
                },
                Step::Abort(which) => if let Some(id) = pick(which) {
                    let story = stories.get_mut(&id).unwrap();
                    story.finished_first |= story.finished && !story.aborted;
                    story.aborted = true;
                    mux.abort(StreamId(id));
                },
                Step::FarWrite(which, data) => if let Some(id) = pick(which) {
                    let story = stories.get_mut(&id).unwrap();
                    if !story.far_finished {
                        story.far_written.extend_from_slice(&data);
                        far.send(2, id, &data);
                    }
                },
                Step::FarFinish(which) => if let Some(id) = pick(which) {
                    let story = stories.get_mut(&id).unwrap();
                    if !story.far_finished {
                        story.far_finished = true;
                        far.send(1, id, b"");
                    }
                },
                Step::Transmit(longest) => if let Some(bytes) = mux.poll_transmit(longest) {
                    prop_assert!(bytes.len() <= longest.max(HEADER + 1));
                    far.take(&bytes);
                },
                Step::Receive(length) => {
                    let length = length.min(far.outbox.len());
                    let bytes: Vec<u8> = far.outbox.drain(..length).collect();
                    mux.receive(bytes.into()).unwrap();
                }
            }
            while let Some(event) = mux.poll_event() {
                match event {
                    Event::Data(id, data) => {
                        let story = stories.get_mut(&id.0).unwrap();
                        prop_assert!(!story.heard_end);
                        story.heard.extend_from_slice(&data);
                        mux.taken(id, data.len());
                    }
                    Event::FarFinished(id) => stories.get_mut(&id.0).unwrap().heard_end = true,
                    Event::Sent(..) => {}
                }
            }
        }
        prop_assert!(!mux.has_something_to_send());
        for (id, story) in &stories {
            let heard = &far.streams[id];
            if story.aborted {
                prop_assert!(story.written.starts_with(&heard.heard));
                prop_assert!(heard.finished);
                if story.finished_first {
                    prop_assert_eq!(&heard.heard, &story.written);
                }
                prop_assert!(story.far_written.starts_with(&story.heard));
            } else {
                prop_assert_eq!(&heard.heard, &story.written);
                prop_assert_eq!(heard.finished, story.finished);
                prop_assert_eq!(&story.heard, &story.far_written);
                prop_assert_eq!(story.heard_end, story.far_finished);
            }
        }
        // Nothing is kept of what is over, and nothing is left to be taken.
        let alive = stories.values().filter(|story| !(story.aborted || story.finished && story.far_finished)).count();
        prop_assert_eq!(mux.len(), alive);
        prop_assert_eq!(mux.untaken, 0);
    }
}
