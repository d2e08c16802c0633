//! Two ends of the delivery over a network that does what the input says: every byte once and in order.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use ssmx_fuzz::protocol::delivery::incoming::{Arrival, Incoming};
use ssmx_fuzz::protocol::delivery::outgoing::Limits;
use ssmx_fuzz::protocol::message::{Message, MessageType, PayloadType};
use ssmx_fuzz::protocol::session::Session;
use ssmx_fuzz::samples::{Counting, acknowledgement, stream_data};
use ssmx_fuzz::{input, start};

fuzz_target!(|fate: &[u8]| {
    let mut now = start();
    let mut session = Session::new(Limits::SHELL, Box::new(Counting::default()));
    // The session is a shell's: it is ready with the first output.
    session.handle_message(now, &stream_data(0, PayloadType::OUTPUT, &b"$ "[..]).encode());
    let sent: Vec<u8> = (0..fate.len() * 40).map(|at| (at % 251) as u8).collect();
    session.write(sent.clone().into());
    let mut agent = Incoming::default();
    let mut heard: Vec<u8> = Vec::new();
    let mut late: Vec<Message> = Vec::new();
    let mut fates = fate.iter();
    // When the input is used up, the network is a good one.
    for round in 0.. {
        while let Some(bytes) = session.poll_transmit(now) {
            let message = Message::decode(&bytes).expect("what is sent can be read");
            if message.message_type != MessageType::InputStreamData {
                continue;
            }
            match fates.next().copied().unwrap_or(255) {
                0..=59 => {}
                60..=99 => late.push(message),
                100..=129 => {
                    late.push(message.clone());
                    arrive(&mut session, &mut agent, &mut heard, now, message, true);
                }
                130..=159 => arrive(&mut session, &mut agent, &mut heard, now, message, false),
                160..=169 => session.reconnected(now),
                _ => arrive(&mut session, &mut agent, &mut heard, now, message, true),
            }
        }
        while let Some(message) = late.pop() {
            arrive(&mut session, &mut agent, &mut heard, now, message, true);
        }
        if session.is_drained() && heard.len() == sent.len() {
            break;
        }
        assert!(round < 100_000, "{} of {} bytes", heard.len(), sent.len());
        now = session.poll_timeout().map_or(now, |due| due.max(now)) + Duration::from_millis(1);
        session.handle_timeout(now);
        while session.poll_event().is_some() {}
    }
    assert!(heard == sent);
});

fn arrive(
    session: &mut Session,
    agent: &mut Incoming,
    heard: &mut Vec<u8>,
    now: std::time::Instant,
    message: Message,
    acknowledged: bool,
) {
    let sequence = message.sequence;
    match agent.arrive(message) {
        Arrival::InOrder(messages) => {
            for message in messages.into_iter().filter(|message| message.payload_type.0 == 1) {
                heard.extend_from_slice(&message.payload);
            }
        }
        Arrival::Early | Arrival::Duplicate => {}
        Arrival::Dropped => return,
    }
    if acknowledged {
        session.handle_message(now, &acknowledgement(&input(sequence)));
    }
}
