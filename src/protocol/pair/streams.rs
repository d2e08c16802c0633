//! Connections of a forward over the bad network: whatever is lost, overtaken or cut, each gets its own bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::agent::{Agent, Opening};
use super::{Dice, Network, To, session, start};
use crate::protocol::delivery::outgoing::Limits;
use crate::protocol::session::Event;
use crate::protocol::smux::frame::{Command, Decoder, Piece, put_header};
use crate::protocol::smux::{self, Keepalive, Mux, StreamId, nothing};

const SEEDS: u64 = 24;
/// Each way of a stream, at most. An agent sends some kilobytes a second here.
const UP: u64 = 120_000;
const DOWN: u64 = 12_000;
/// What a stream holds back for its turn, as a link does.
const AHEAD: usize = 16_000;

/// The target's side of a stream and ours: what was meant and what came.
#[derive(Default)]
struct Ends {
    up: Bytes,
    down: Bytes,
    written: usize,
    sent: usize,
    arrived: Vec<u8>,
    heard: Vec<u8>,
    over: bool,
}

fn noise(dice: &mut Dice, most: u64) -> Bytes {
    (0..dice.below(most)).map(|_| dice.next() as u8).collect()
}

/// What an agent's mux does with the bytes that came: targets take them and answer as they please.
fn target(decoder: &mut Decoder, agent: &mut Agent, ends: &mut BTreeMap<StreamId, Ends>) {
    let mut came = Bytes::from(std::mem::take(&mut agent.received));
    let mut answer = BytesMut::new();
    while let Some(piece) = decoder.next(&mut came).unwrap() {
        match piece {
            Piece::Mark(Command::Syn, id) => {
                for data in ends[&id].down.chunks(3_000) {
                    put_header(&mut answer, Command::Psh, id, data.len() as u16);
                    answer.extend_from_slice(data);
                }
            }
            Piece::Data(id, data) => ends.get_mut(&id).unwrap().arrived.extend_from_slice(&data),
            Piece::Mark(Command::Fin, id) => put_header(&mut answer, Command::Fin, id, 0),
            Piece::Mark(..) => {}
        }
    }
    agent.to_send.extend_from_slice(&answer);
}

fn story(seed: u64) {
    let mut dice = Dice(seed ^ 0x57ea);
    let begin = start();
    let mut now = begin;
    let mut client = session(Limits::PORT);
    let mut mux = Mux::new(1 << 20, Keepalive::Off, now);
    let mut agent = Agent::new(Opening::Handshake, begin);
    agent.to_send.clear();
    let mut decoder = Decoder::default();
    let mut network = Network::default();
    let mut ends = BTreeMap::new();
    for _ in 0..2 + dice.below(5) {
        let both = Ends {
            up: noise(&mut dice, UP),
            down: noise(&mut dice, DOWN),
            ..Ends::default()
        };
        ends.insert(mux.open().unwrap(), both);
    }
    let mut next_scan = begin;
    let mut away_until = None;
    while !mux.is_empty() {
        if away_until.is_some_and(|until| now >= until) {
            away_until = None;
            agent.paused = false;
            client.reconnected(now);
        }
        if now >= next_scan {
            next_scan = now + Duration::from_millis(100);
            agent.scan(now, &mut dice);
            if away_until.is_none() && dice.percent(1) {
                network.flying.clear();
                away_until = Some(now + Duration::from_millis(dice.below(4_000)));
            }
            if dice.percent(2) {
                client.try_size(nothing(8_064), nothing(8));
            }
        }
        for (id, both) in &mut ends {
            let ahead = both.written - both.sent;
            let more = both.up.slice(both.written..);
            let more = more.slice(..more.len().min(AHEAD - ahead));
            both.written += more.len();
            mux.write(*id, more);
            if both.arrived.len() == both.up.len() && both.heard.len() == both.down.len() && !both.over {
                both.over = true;
                mux.finish(*id);
            }
        }
        while !client.is_full()
            && let Some(bytes) = mux.poll_transmit(client.handful())
        {
            client.write(bytes);
        }
        if away_until.is_none() {
            client.handle_timeout(now);
            while let Some(bytes) = client.poll_transmit(now) {
                network.carry(now, &mut dice, To::Agent, bytes);
            }
        }
        target(&mut decoder, &mut agent, &mut ends);
        for bytes in std::mem::take(&mut agent.out) {
            if away_until.is_none() {
                network.carry(now, &mut dice, To::Client, bytes);
            }
        }
        while let Some(event) = client.poll_event() {
            if let Event::Output(bytes) = event {
                mux.receive(bytes).unwrap();
            }
        }
        while let Some(event) = mux.poll_event() {
            match event {
                smux::Event::Data(id, bytes) => {
                    mux.taken(id, bytes.len());
                    ends.get_mut(&id).unwrap().heard.extend_from_slice(&bytes);
                }
                smux::Event::Sent(id, bytes) => ends.get_mut(&id).unwrap().sent += bytes,
                smux::Event::FarFinished(id) => assert!(ends[&id].over, "seed {seed}: {id} ended too early"),
            }
        }
        assert!(now - begin < Duration::from_secs(3_600), "seed {seed}: stalled");
        let arrival = network.next_arrival();
        let timeout = client.poll_timeout().filter(|_| away_until.is_none());
        let wake = [arrival, timeout, Some(next_scan), away_until];
        now = now.max(wake.into_iter().flatten().min().unwrap());
        while let Some(message) = network.arrived(now) {
            match message {
                (To::Client, bytes) => client.handle_message(now, &bytes),
                (To::Agent, bytes) => agent.hear(now, &bytes),
            }
        }
    }
    for (id, both) in ends {
        assert!(both.arrived == both.up, "seed {seed}: stream {id}, up");
        assert!(both.heard == both.down, "seed {seed}: stream {id}, down");
    }
}

#[test]
fn every_connection_gets_its_own_bytes_however_bad_the_network_is() {
    std::thread::scope(|scope| {
        for half in 0..2 {
            scope.spawn(move || (half..SEEDS).step_by(2).for_each(story));
        }
    });
}
