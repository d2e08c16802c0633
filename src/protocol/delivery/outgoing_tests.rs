use std::collections::BTreeMap;
use std::time::Duration;

use super::*;

const LIMITS: Limits = Limits {
    payload: 4,
    in_flight: Bounds::fixed(8),
    unsent: 16,
};

fn open(now: Instant) -> (Outgoing, Instant) {
    let mut outgoing = Outgoing::new(LIMITS);
    outgoing.release();
    (outgoing, now)
}

#[expect(
    clippy::disallowed_methods,
    reason = "any instant will do as the start of a test"
)]
fn start() -> Instant {
    Instant::now()
}

struct Plain;

impl Finish for Plain {
    fn finish(&mut self, _: PayloadType, payload: Bytes) -> Finished {
        Finished {
            id: Uuid::nil(),
            created: 1,
            payload,
        }
    }
}

fn drain(outgoing: &mut Outgoing, now: Instant) -> Vec<(i64, Bytes)> {
    std::iter::from_fn(|| outgoing.poll(now, &mut Plain))
        .map(|due| (due.sequence, due.finished.payload))
        .collect()
}

fn numbers(outgoing: &mut Outgoing, now: Instant) -> Vec<i64> {
    let drained = drain(outgoing, now).into_iter();
    drained.map(|(sequence, _)| sequence).collect()
}

#[test]
fn data_waits_for_release_and_control_does_not() {
    let mut outgoing = Outgoing::new(LIMITS);
    let now = start();
    outgoing.write(Bytes::from_static(b"ls"));
    outgoing.control(PayloadType::SIZE, Bytes::from_static(b"{}"));
    assert_eq!(drain(&mut outgoing, now), [(0, Bytes::from_static(b"{}"))]);
    outgoing.release();
    assert_eq!(drain(&mut outgoing, now), [(1, Bytes::from_static(b"ls"))]);
}

#[test]
fn the_window_closes_and_opens_and_nothing_is_evicted() {
    let (mut outgoing, now) = open(start());
    outgoing.write(Bytes::from_static(b"abcdefghijklmnopqrstuvwx"));
    assert!(outgoing.is_full());
    assert_eq!(drain(&mut outgoing, now).len(), 2);
    outgoing.acknowledge(now, 1);
    assert_eq!(drain(&mut outgoing, now), [(2, Bytes::from_static(b"ijkl"))]);
    outgoing.resend_all(now);
    assert_eq!(numbers(&mut outgoing, now), [0, 2]);
}

#[test]
fn what_is_not_acknowledged_in_time_is_sent_again_ever_more_slowly() {
    let (mut outgoing, now) = open(start());
    outgoing.write(Bytes::from_static(b"a"));
    drain(&mut outgoing, now);
    let first = outgoing.timeout().unwrap();
    assert_eq!(first - now, Duration::from_millis(200));
    outgoing.handle_timeout(first);
    assert_eq!(drain(&mut outgoing, first).len(), 1);
    // The plugin sets this time on a copy and so resends on every scan.
    assert_eq!(outgoing.timeout().unwrap() - first, Duration::from_millis(400));
}

#[test]
fn repeated_messages_teach_nothing_about_the_round_trip() {
    let (mut outgoing, now) = open(start());
    outgoing.write(Bytes::from_static(b"a"));
    drain(&mut outgoing, now);
    outgoing.resend_all(now);
    drain(&mut outgoing, now);
    outgoing.acknowledge(now + Duration::from_secs(30), 0);
    assert!(outgoing.is_empty());
    outgoing.write(Bytes::from_static(b"b"));
    drain(&mut outgoing, now);
    assert_eq!(outgoing.timeout().unwrap() - now, Duration::from_millis(200));
}

#[test]
fn an_interrupt_overtakes_what_is_not_sent() {
    let (mut outgoing, now) = open(start());
    outgoing.write(Bytes::from_static(b"abcdefghijklmnop"));
    drain(&mut outgoing, now);
    outgoing.overtake(Bytes::from_static(b"\x03"));
    assert_eq!(drain(&mut outgoing, now), [(2, Bytes::from_static(b"\x03"))]);
}

fn wide(count: usize) -> (Outgoing, Instant) {
    let mut outgoing = Outgoing::new(Limits {
        payload: 1,
        in_flight: Bounds::fixed(1 << 20),
        unsent: 1 << 20,
    });
    let now = start();
    outgoing.release();
    outgoing.write(vec![b'x'; count].into());
    assert_eq!(drain(&mut outgoing, now).len(), count);
    (outgoing, now)
}

fn trial(outgoing: &mut Outgoing) {
    outgoing.try_size(Bytes::from_static(b"0123456789"), Bytes::from_static(b"."));
    outgoing.write(Bytes::from_static(b"abcdefgh"));
}

#[test]
fn a_larger_size_is_tried_out_alone_and_used_when_it_passes() {
    let (mut outgoing, now) = open(start());
    outgoing.write(Bytes::from_static(b"first"));
    drain(&mut outgoing, now);
    trial(&mut outgoing);
    assert!(
        drain(&mut outgoing, now).is_empty(),
        "what is in flight comes first"
    );
    assert_eq!(outgoing.acknowledge(now, 0), None);
    assert_eq!(outgoing.acknowledge(now, 1), None);
    assert_eq!(
        drain(&mut outgoing, now),
        [(2, Bytes::from_static(b"0123456789"))]
    );
    assert_eq!(outgoing.acknowledge(now, 2), Some(Tried::Passed(10)));
    assert_eq!(drain(&mut outgoing, now), [(3, Bytes::from_static(b"abcdefgh"))]);
    outgoing.acknowledge(now, 3);
    assert!(outgoing.is_empty());
    assert_eq!(outgoing.unacknowledged_bytes, 0);
}

#[test]
fn what_was_written_before_a_trial_goes_before_it_sent_or_not() {
    let (mut outgoing, now) = open(start());
    // The window holds eight: the end of a frame may be among the rest.
    outgoing.write(Bytes::from_static(b"0123456789"));
    assert_eq!(numbers(&mut outgoing, now), [0, 1]);
    trial(&mut outgoing);
    for sequence in [0, 1] {
        outgoing.acknowledge(now, sequence);
    }
    assert_eq!(drain(&mut outgoing, now), [(2, Bytes::from_static(b"89"))]);
    outgoing.acknowledge(now, 2);
    assert_eq!(
        drain(&mut outgoing, now),
        [(3, Bytes::from_static(b"0123456789"))]
    );
    assert_eq!(outgoing.acknowledge(now, 3), Some(Tried::Passed(10)));
    assert_eq!(drain(&mut outgoing, now), [(4, Bytes::from_static(b"abcdefgh"))]);
}

#[test]
fn a_size_that_cuts_the_connection_is_given_up() {
    let (mut outgoing, now) = open(start());
    trial(&mut outgoing);
    assert_eq!(drain(&mut outgoing, now).len(), 1);
    outgoing.resend_all(now);
    assert_eq!(drain(&mut outgoing, now), [(0, Bytes::from_static(b"."))]);
    assert_eq!(outgoing.acknowledge(now, 0), Some(Tried::Failed));
    let rest = drain(&mut outgoing, now);
    assert_eq!(
        rest,
        [(1, Bytes::from_static(b"abcd")), (2, Bytes::from_static(b"efgh"))]
    );
    outgoing.acknowledge(now, 1);
    outgoing.acknowledge(now, 2);
    assert_eq!(outgoing.unacknowledged_bytes, 0);
}

#[test]
fn a_size_that_vanishes_is_given_up_after_a_second_try() {
    let (mut outgoing, mut now) = open(start());
    trial(&mut outgoing);
    let mut lengths = Vec::new();
    for _ in 0..4 {
        lengths.extend(drain(&mut outgoing, now).iter().map(|(_, payload)| payload.len()));
        now = outgoing.timeout().unwrap();
        outgoing.handle_timeout(now);
    }
    assert_eq!(lengths, [10, 10, 1, 1]);
    assert_eq!(outgoing.acknowledge(now, 0), Some(Tried::Failed));
}

#[test]
fn what_others_have_overtaken_is_lost_and_all_of_it_is_sent_again() {
    let (mut outgoing, now) = wide(100);
    for sequence in (1..100).step_by(2) {
        outgoing.acknowledge(now, sequence);
    }
    outgoing.handle_timeout(now + Duration::from_secs(2));
    let holes: Vec<i64> = (0..100).step_by(2).collect();
    assert_eq!(numbers(&mut outgoing, now + Duration::from_secs(2)), holes);
}

#[test]
fn a_busy_peer_is_probed_and_not_flooded() {
    let (mut outgoing, mut now) = wide(1000);
    let mut again = 0;
    for _ in 0..100 {
        now += Duration::from_millis(100);
        outgoing.handle_timeout(now);
        again += drain(&mut outgoing, now).len();
    }
    assert!((4..60).contains(&again), "{again}");
}

#[test]
fn a_long_tail_that_was_lost_is_there_again_soon() {
    let (mut outgoing, mut now) = wide(1000);
    let begin = now;
    while !outgoing.is_empty() {
        now = outgoing.timeout().unwrap().max(now + Duration::from_millis(20));
        outgoing.handle_timeout(now);
        loop {
            let again = numbers(&mut outgoing, now);
            if again.is_empty() {
                break;
            }
            now += Duration::from_millis(20);
            for sequence in again {
                outgoing.acknowledge(now, sequence);
            }
        }
    }
    // One a round trip would be 20 s, one a timeout 200 s.
    assert!(now - begin < Duration::from_secs(1), "{:?}", now - begin);
}

#[test]
fn with_the_oldest_one_lost_sending_stops_before_the_peer_overflows() {
    let (mut outgoing, now) = wide(LONGEST_SPAN);
    for sequence in 1..i64::try_from(LONGEST_SPAN).unwrap() {
        outgoing.acknowledge(now, sequence);
    }
    outgoing.write(Bytes::from_static(b"more"));
    assert!(drain(&mut outgoing, now).is_empty());
    outgoing.acknowledge(now, 0);
    assert_eq!(drain(&mut outgoing, now).len(), 4);
}

#[test]
fn a_flag_keeps_its_place_among_the_data() {
    let (mut outgoing, now) = open(start());
    outgoing.write(Bytes::from_static(b"ab"));
    outgoing.in_order(PayloadType::FLAG, Bytes::from_static(&[0, 0, 0, 1]));
    outgoing.write(Bytes::from_static(b"cd"));
    let sent: Vec<_> = std::iter::from_fn(|| outgoing.poll(now, &mut Plain))
        .map(|due| due.payload_type)
        .collect();
    assert_eq!(
        sent,
        [PayloadType::OUTPUT, PayloadType::FLAG, PayloadType::OUTPUT]
    );
}

#[test]
fn a_mark_is_passed_when_all_before_it_is_acknowledged_and_not_before() {
    let (mut outgoing, now) = open(start());
    // Nothing was written: there is nothing to wait for.
    outgoing.mark();
    assert_eq!(outgoing.passed_marks(), 1);
    outgoing.write(Bytes::from_static(b"abcd"));
    outgoing.write(Bytes::from_static(b"ef"));
    outgoing.mark();
    outgoing.write(Bytes::from_static(b"gh"));
    outgoing.mark();
    outgoing.write(Bytes::from_static(b"ijkl"));
    assert_eq!(outgoing.passed_marks(), 0);
    // The window takes two messages: "abcd", and "efgh", which has both marks in or behind it.
    assert_eq!(numbers(&mut outgoing, now), [0, 1]);
    outgoing.acknowledge(now, 1);
    assert_eq!(
        outgoing.passed_marks(),
        0,
        "what is before them is not acknowledged"
    );
    outgoing.acknowledge(now, 0);
    assert_eq!(outgoing.passed_marks(), 2);
    outgoing.mark();
    assert_eq!(numbers(&mut outgoing, now), [2]);
    assert_eq!(outgoing.passed_marks(), 0);
    outgoing.acknowledge(now, 2);
    assert_eq!(outgoing.passed_marks(), 1);
    assert_eq!(outgoing.passed_marks(), 0, "each once");
}

#[test]
fn a_mark_does_not_wait_for_what_an_interrupt_dropped() {
    let (mut outgoing, now) = open(start());
    outgoing.write(Bytes::from_static(b"abcdefgh"));
    outgoing.write(Bytes::from_static(b"paste"));
    assert_eq!(numbers(&mut outgoing, now), [0, 1]);
    outgoing.mark();
    outgoing.overtake(Bytes::from_static(b"\x03"));
    outgoing.acknowledge(now, 0);
    outgoing.acknowledge(now, 1);
    assert_eq!(outgoing.passed_marks(), 1);
}

/// What became of an upload over a path that takes so many bytes a second.
struct Upload {
    /// Bytes that were acknowledged.
    arrived: usize,
    /// Messages that were sent again.
    repeated: usize,
    /// The longest time between a message's first copy and its acknowledgement, in the second half.
    longest: Duration,
}

/// Sends for `time` over a path with a queue that loses nothing.
fn upload(rate: usize, one_way: Duration, time: Duration) -> Upload {
    let (mut outgoing, begin) = (Outgoing::new(Limits::PORT), start());
    // As after a handshake, one round trip is known.
    outgoing.control(PayloadType::HANDSHAKE_RESPONSE, Bytes::from_static(b"{}"));
    drain(&mut outgoing, begin);
    outgoing.acknowledge(begin + one_way * 2, 0);
    outgoing.release();
    let (mut now, mut free) = (begin + one_way * 2, begin);
    outgoing.try_size(Bytes::from(vec![0; 32_640]), Bytes::from_static(b"x"));
    let mut acknowledgements = VecDeque::new();
    let mut first_sent = BTreeMap::new();
    let mut upload = Upload {
        arrived: 0,
        repeated: 0,
        longest: Duration::ZERO,
    };
    while now < begin + time {
        loop {
            while !outgoing.is_full() {
                outgoing.write(Bytes::from(vec![0; 32_640]));
            }
            let Some(due) = outgoing.poll(now, &mut Plain) else {
                break;
            };
            upload.repeated += usize::from(due.again);
            let length = due.finished.payload.len();
            first_sent.entry(due.sequence).or_insert((now, length));
            free = free.max(now) + Duration::from_secs_f64(length as f64 / rate as f64);
            acknowledgements.push_back((free + one_way * 2, due.sequence));
        }
        let heard = acknowledgements.front().map(|(at, _)| *at);
        now = outgoing.timeout().into_iter().chain(heard).min().unwrap();
        while let Some((_, sequence)) = acknowledgements.pop_front_if(|(at, _)| *at <= now) {
            outgoing.acknowledge(now, sequence);
            if let Some((at, length)) = first_sent.remove(&sequence) {
                upload.arrived += length;
                if now > begin + time / 2 {
                    upload.longest = upload.longest.max(now - at);
                }
            }
        }
        outgoing.handle_timeout(now);
    }
    upload
}

#[test]
fn a_slow_path_is_filled_and_not_flooded() {
    let (one_way, time) = (Duration::from_millis(20), Duration::from_secs(20));
    for rate in [60_000, 250_000, 2_500_000] {
        let upload = upload(rate, one_way, time);
        let most = rate * 20;
        assert!(
            upload.arrived > most / 10 * 9,
            "{rate}: {} of {most}",
            upload.arrived
        );
        assert!(upload.repeated < 20, "{rate}: {} sent again", upload.repeated);
        // What a person types waits so long behind it.
        assert!(
            upload.longest < Duration::from_millis(500),
            "{rate}: {:?}",
            upload.longest
        );
    }
}
