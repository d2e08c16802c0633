//! What a data channel can be made to suffer: scripted by a scenario, changed at run time by a test.

use std::time::Duration;

use serde::Deserialize;

/// The faults of one session. The default has none.
///
/// In a scenario's TOML every field may be left out; shares are between 0 and 1, times in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Seeds every chance below: the same seed and the same messages give the same fate.
    pub seed: u64,
    /// The time that a message and its answer spend on the way together. Half of it each way.
    pub round_trip_ms: f64,
    /// The agent comes so long after the client. What the client says meanwhile waits for it.
    pub agent_delay_ms: u64,
    /// What happens to messages from the agent to the client.
    pub to_client: Lossy,
    /// What happens to messages from the client to the agent.
    pub to_agent: Lossy,
    /// start_publication is never sent to the client.
    pub withhold_start: bool,
    /// The agent is told to pause, and to go on, again and again.
    pub pauses: Option<Pauses>,
    /// The gateway closes the WebSocket with 1000 "Bye", as the service does each hour.
    pub bye: Option<Trigger>,
    /// The connection is gone without a close frame.
    pub cut: Option<Trigger>,
    /// The gateway goes on reading and says nothing more on this connection.
    pub mute: Option<Trigger>,
    /// The gateway stops reading what the client sends.
    pub stop_reading: Option<Trigger>,
    /// The agent and all its processes are gone; the session is not.
    pub kill_agent: Option<Trigger>,
    /// A few frames that are no messages.
    pub gibberish: Option<Trigger>,
    /// Pings are not answered.
    pub mute_pings: bool,
    /// How the type of messages to the client is padded.
    pub padding: Padding,
    /// Publication messages bear no date.
    pub zero_dates: bool,
    /// Messages of types that no client knows are mixed in, before every message to the client.
    pub unknown_messages: bool,
    /// The agent sends stream data of an unknown payload type, once, before its first output.
    pub unknown_payloads: bool,
    /// The agent asks for an action that no client knows. By its rules it cancels the session when refused.
    pub unknown_actions: bool,
    /// Messages to the client come in TEXT frames.
    pub text_frames: bool,
    /// A larger message from the client closes the WebSocket with 1009. In bytes, header included.
    pub frame_limit: Option<usize>,
    /// The agent's payloads are cut after so many bytes (5 cuts each smux header).
    pub payload_limit: Option<usize>,
    /// Where the agent's counters start, both ways. 2^32 and beyond is a good place.
    pub first_sequence: i64,
    /// What becomes of ResumeSession.
    pub resume: Resume,
    /// What becomes of the HTTP upgrade.
    pub upgrade: Option<Upgrade>,
    /// The socket is closed right after channel_closed; else the client has two seconds to do so.
    pub close_at_end: bool,
}

impl Faults {
    /// The time that a message spends on the way to one side.
    pub(crate) fn one_way(&self) -> Duration {
        Duration::try_from_secs_f64(self.round_trip_ms / 2000.0).unwrap_or_default()
    }
}

/// Faults of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lossy {
    /// The share of sequenced messages that are lost.
    pub lose: f64,
    /// The share that come twice.
    pub repeat: f64,
    /// The share that are overtaken by later ones.
    pub reorder: f64,
    /// The share of acknowledgements that are lost.
    pub lose_acks: f64,
    /// Acknowledgements come so much later.
    pub delay_acks_ms: u64,
}

/// Pauses of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pauses {
    /// On average so long after the last one ended.
    pub every_ms: u64,
    /// At most so long.
    pub for_ms: u64,
}

/// When something happens. The counts are of one connection and of messages to the client and from it
/// together; without any it happens at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trigger {
    /// After so many messages.
    pub after_messages: u64,
    /// After so many bytes of payload.
    pub after_bytes: u64,
    /// After so long. In milliseconds.
    pub after_ms: u64,
    /// How often in a session; 0 stands for once.
    pub times: u32,
}

impl Trigger {
    /// Whether it is time, by what passed over a connection. All the conditions that are set must hold.
    pub(crate) fn is_due(&self, messages: u64, bytes: u64, age: Duration) -> bool {
        messages >= self.after_messages
            && bytes >= self.after_bytes
            && age >= Duration::from_millis(self.after_ms)
    }

    /// How often it may happen in a session.
    pub(crate) fn times(&self) -> u32 {
        self.times.max(1)
    }
}

/// How a message's type fills its 32 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// Spaces behind it, as Go peers do.
    #[default]
    Spaces,
    /// NULs behind it.
    Nul,
    /// Spaces before it.
    Left,
    /// NULs before it.
    LeftNul,
}

/// What becomes of ResumeSession.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resume {
    /// A new token.
    #[default]
    Granted,
    /// An answer without a token, which means that the session timed out.
    NoToken,
    /// DoesNotExistException.
    Unknown,
}

/// What becomes of the HTTP upgrade instead of a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upgrade {
    /// The HTTP status of the refusal; none: no answer at all.
    pub status: Option<u16>,
    /// How often in a session; left out: every time.
    pub times: Option<u32>,
}

/// Chances from a seed (splitmix64): the same on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Chance {
    state: u64,
}

impl Chance {
    /// `stream` keeps apart the directions of one session.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Self {
            state: seed ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93),
        }
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Whether an event of this probability happens. Never asks for a number where it cannot.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }

    /// A number from 0 to below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        // 53 bits: all that an f64 holds exactly.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_names_the_faults_it_wants() {
        let faults: Faults = toml::from_str(
            "seed = 7\nround_trip_ms = 1.0\nresume = \"no-token\"\npadding = \"left-nul\"\n\
             to_client = { lose = 0.1 }\nbye = { after_messages = 10, times = 2 }\nupgrade = { status = 403 }",
        )
        .unwrap();
        assert_eq!(faults.to_client.lose, 0.1);
        assert_eq!(faults.resume, Resume::NoToken);
        assert_eq!(faults.padding, Padding::LeftNul);
        assert_eq!(faults.bye.unwrap().times(), 2);
        assert_eq!(faults.one_way(), Duration::from_micros(500));
        assert!(toml::from_str::<Faults>("lose = 1").is_err());
    }

    #[test]
    fn a_trigger_waits_for_all_its_conditions() {
        let trigger = Trigger {
            after_messages: 3,
            after_bytes: 10,
            ..Trigger::default()
        };
        assert!(!trigger.is_due(3, 9, Duration::ZERO));
        assert!(!trigger.is_due(2, 10, Duration::ZERO));
        assert!(trigger.is_due(3, 10, Duration::ZERO));
    }

    #[test]
    fn chances_are_the_seed_s() {
        let draw = |seed, stream| {
            let mut chance = Chance::new(seed, stream);
            (0..1000).filter(|_| chance.happens(0.1)).count()
        };
        assert_eq!(draw(1, 0), draw(1, 0));
        assert_ne!(Chance::new(1, 0).next(), Chance::new(1, 1).next());
        assert!((60..140).contains(&draw(1, 0)), "{}", draw(1, 0));
        assert!(!Chance::new(1, 0).happens(0.0));
        assert!(Chance::new(1, 0).happens(1.0));
    }
}
