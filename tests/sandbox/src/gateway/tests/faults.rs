//! Faults: what is scripted happens, and a client that keeps the rules loses nothing.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message as Frame;

use ssmx::protocol::message::{Message, MessageType, PayloadType};

use super::super::{Admission, Gateway, Kind, Resumed, SessionSpec, Status};
use super::client::Client;
use super::{node, session, shell};
use crate::fault::{Faults, Lossy, Padding, Pauses, Resume, Trigger, Upgrade};

fn counting(faults: Faults) -> (tempfile::TempDir, SessionSpec) {
    let (home, agent) = node();
    let kind = Kind::InteractiveCommands {
        // It waits for a key: at its end an agent does not wait long for what is unacknowledged.
        command: "stty -echo; seq 1 3000; read x".to_owned(),
    };
    let mut spec = session(agent, kind);
    spec.faults = faults;
    (home, spec)
}

fn counted() -> String {
    (1..=3000).map(|n| format!("{n}\r\n")).collect()
}

/// Reads all of it, resuming as often as the connection goes.
async fn read_through(gateway: &Gateway, client: &mut Client) -> (String, u32) {
    let mut said = String::new();
    let mut cuts = 0;
    loop {
        while let Some(message) = client.read().await {
            if message.payload_type == PayloadType::OUTPUT {
                said.push_str(&String::from_utf8_lossy(&message.payload));
            }
            if said.ends_with("\n3000\r\n") {
                client.type_keys("\r").await;
            }
        }
        if client.closed.is_some() {
            return (said, cuts);
        }
        cuts += 1;
        match gateway.resume(&client.id) {
            Resumed::Open(opening) => client.reattach(&opening).await,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn loss_repetition_and_reordering_are_overcome() {
    let lossy = Lossy {
        // So much that even a few large messages cannot all be spared.
        lose: 0.25,
        repeat: 0.2,
        reorder: 0.3,
        lose_acks: 0.25,
        ..Lossy::default()
    };
    let faults = Faults {
        seed: 3,
        to_client: lossy,
        to_agent: lossy,
        ..Faults::default()
    };
    let (_home, spec) = counting(faults);
    let gateway = Gateway::new();
    let mut client = Client::start(&gateway, spec).await;
    let (said, _) = read_through(&gateway, &mut client).await;
    assert!(said == counted());
    let observed = gateway.observed(&client.id).unwrap();
    assert!(observed.output_repeated > 0, "{observed:?}");
}

#[tokio::test]
async fn cuts_and_byes_are_resumed_elsewhere_with_the_counters_going_on() {
    let trigger = Some(Trigger {
        after_messages: 4,
        times: 2,
        ..Trigger::default()
    });
    for (faults, is_bye) in [
        (
            Faults {
                bye: trigger,
                ..Faults::default()
            },
            true,
        ),
        (
            Faults {
                cut: trigger,
                ..Faults::default()
            },
            false,
        ),
    ] {
        let (_home, spec) = counting(faults);
        let gateway = Gateway::new();
        let mut client = Client::start(&gateway, spec).await;
        let (said, cuts) = read_through(&gateway, &mut client).await;
        assert!(said == counted(), "bye: {is_bye}");
        assert_eq!(cuts, 2);
        let opened = gateway.observed(&client.id).unwrap().opened;
        assert_eq!(opened.len(), 3);
        assert!(opened.iter().all(|open| open.client_id == client.client_id));
    }
}

#[tokio::test]
async fn a_bye_says_so_and_leaves_the_session_disconnected() {
    let (_home, agent) = node();
    let gateway = Gateway::new();
    let mut client = Client::start(&gateway, session(agent, shell())).await;
    client.hear("$ ").await;
    gateway.bye(&client.id);
    assert_eq!(client.close_frame().await, Some((1000, "Bye".to_owned())));
    assert_eq!(gateway.status(&client.id).unwrap().status, Status::Disconnected);
    let Resumed::Open(opening) = gateway.resume(&client.id) else {
        panic!("the session lives")
    };
    assert_eq!(opening.query(), "role=publish_subscribe&cell-number=2");
    client.reattach(&opening).await;
    client.type_keys("exit\r").await;
    client.rest().await;
    assert_eq!(client.closed.as_deref(), Some(""));
}

#[tokio::test]
async fn resuming_is_refused_when_told_so() {
    let (_home, agent) = node();
    let gateway = Gateway::new();
    let mut client = Client::start(&gateway, session(agent, shell())).await;
    client.hear("$ ").await;
    for (resume, wanted) in [
        (Resume::NoToken, Resumed::TimedOut),
        (Resume::Unknown, Resumed::Unknown),
    ] {
        let faults = Faults {
            resume,
            ..Faults::default()
        };
        gateway.set_faults(&client.id, faults);
        assert_eq!(gateway.resume(&client.id), wanted);
    }
}

#[tokio::test]
async fn upgrades_are_refused_as_often_as_told() {
    let (_home, agent) = node();
    let gateway = Gateway::new();
    let mut spec = session(agent, shell());
    spec.faults.upgrade = Some(Upgrade {
        status: Some(403),
        times: Some(1),
    });
    let id = spec.id.clone();
    gateway.open(spec);
    assert_eq!(gateway.admit(&id), Admission::Refuse(403));
    assert_eq!(gateway.admit(&id), Admission::Upgrade);
    gateway.set_faults(
        &id,
        Faults {
            upgrade: Some(Upgrade {
                status: None,
                times: None,
            }),
            ..Faults::default()
        },
    );
    assert_eq!(gateway.admit(&id), Admission::Silence);
    assert_eq!(gateway.admit("other"), Admission::Refuse(404));
}

#[tokio::test]
async fn odd_dress_and_odd_company_change_nothing() {
    for padding in [Padding::Nul, Padding::Left, Padding::LeftNul] {
        let (_home, spec) = counting(Faults {
            padding,
            zero_dates: true,
            unknown_messages: true,
            unknown_payloads: true,
            gibberish: Some(Trigger {
                after_messages: 3,
                ..Trigger::default()
            }),
            pauses: Some(Pauses {
                every_ms: 20,
                for_ms: 10,
            }),
            ..Faults::default()
        });
        let gateway = Gateway::new();
        let mut client = Client::start(&gateway, spec).await;
        let first = client.read().await.unwrap();
        assert_eq!(first.payload_type, PayloadType(77));
        assert!(
            client
                .log
                .iter()
                .any(|message| message.message_type == MessageType::StartPublication && message.created == 0)
        );
        assert!(
            client
                .log
                .iter()
                .any(|message| matches!(message.message_type, MessageType::Other(_)))
        );
        let (said, _) = read_through(&gateway, &mut client).await;
        assert!(said == counted(), "{padding:?}");
    }
}

#[tokio::test]
async fn binary_comes_in_text_frames_when_told_so() {
    let (_home, agent) = node();
    let gateway = Gateway::new();
    let mut spec = session(agent, shell());
    spec.faults.text_frames = true;
    let mut client = Client::start(&gateway, spec).await;
    // The library refuses what is no UTF-8; the digest nearly never is.
    let frame = timeout(Duration::from_secs(5), client.line.next()).await.unwrap();
    assert!(matches!(&frame, Some(Ok(Frame::Text(_)) | Err(_))), "{frame:?}");
}

#[tokio::test]
async fn too_large_a_message_closes_with_1009() {
    let (_home, agent) = node();
    let gateway = Gateway::new();
    let mut spec = session(agent, shell());
    spec.faults.frame_limit = Some(1200);
    let mut client = Client::start(&gateway, spec).await;
    client.hear("$ ").await;
    client.type_keys(&"#".repeat(1000)).await;
    client.type_keys(&"#".repeat(1100)).await;
    assert_eq!(
        client.close_frame().await,
        Some((1009, "Message too big".to_owned()))
    );
}

#[tokio::test]
async fn pings_are_answered_unless_told_otherwise() {
    let (_home, agent) = node();
    let gateway = Gateway::new();
    let mut client = Client::start(&gateway, session(agent, shell())).await;
    client.hear("$ ").await;
    let ping = || Frame::Ping(b"keepalive".as_slice().into());
    client.line.send(ping()).await.unwrap();
    let pong = async {
        loop {
            if let Frame::Pong(payload) = client.line.next().await.unwrap().unwrap() {
                break payload;
            }
        }
    };
    assert_eq!(
        &timeout(Duration::from_secs(5), pong).await.unwrap()[..],
        b"keepalive"
    );
    gateway.set_faults(
        &client.id,
        Faults {
            mute_pings: true,
            ..Faults::default()
        },
    );
    client.line.send(ping()).await.unwrap();
    let quiet = timeout(Duration::from_millis(200), client.line.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    assert_eq!(gateway.observed(&client.id).unwrap().pings, 2);
}

#[tokio::test]
async fn a_mute_gateway_says_nothing_more_and_a_killed_agent_neither() {
    let (_home, agent) = node();
    let gateway = Gateway::new();
    let mut client = Client::start(&gateway, session(agent.clone(), shell())).await;
    client.hear("$ ").await;
    gateway.set_faults(
        &client.id,
        Faults {
            mute: Some(Trigger::default()),
            ..Faults::default()
        },
    );
    tokio::time::sleep(Duration::from_millis(30)).await;
    client.type_keys("echo\r").await;
    assert!(
        timeout(Duration::from_millis(300), client.message())
            .await
            .is_err()
    );

    let mut spec = session(agent, shell());
    spec.id = "other".to_owned();
    let mut client = Client::start(&gateway, spec).await;
    client.hear("$ ").await;
    gateway.kill_agent("other");
    let told = client.message().await.unwrap();
    assert_eq!(told.message_type, MessageType::PausePublication);
    client.type_keys("echo\r").await;
    assert!(
        timeout(Duration::from_millis(300), client.message())
            .await
            .is_err()
    );
    assert_eq!(gateway.status("other").unwrap().status, Status::Connected);
}

#[tokio::test]
async fn a_gateway_that_stops_reading_holds_the_client_up() {
    let (_home, agent) = node();
    let gateway = Gateway::new();
    let mut spec = session(agent, shell());
    spec.faults.stop_reading = Some(Trigger::default());
    let mut client = Client::start(&gateway, spec).await;
    client.message().await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    let much = async {
        for _ in 0..10_000 {
            let message = Message {
                payload: vec![b'#'; 1000].into(),
                ..super::client::blank()
            };
            client.put(&message).await;
        }
    };
    assert!(timeout(Duration::from_millis(500), much).await.is_err());
}

#[tokio::test]
async fn a_round_trip_takes_its_time() {
    let (_home, agent) = node();
    let gateway = Gateway::new();
    let mut spec = session(agent, shell());
    spec.faults.round_trip_ms = 60.0;
    let mut client = Client::start(&gateway, spec).await;
    client.hear("$ ").await;
    let began = Instant::now();
    client.type_keys("echo a''b\r").await;
    client.hear("ab").await;
    assert!(began.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn late_acknowledgements_make_the_agent_repeat_itself_and_no_harm() {
    let (_home, spec) = counting(Faults {
        to_agent: Lossy {
            delay_acks_ms: 400,
            ..Lossy::default()
        },
        ..Faults::default()
    });
    let gateway = Gateway::new();
    let mut client = Client::start(&gateway, spec).await;
    let (said, _) = read_through(&gateway, &mut client).await;
    assert!(said == counted());
    assert!(gateway.observed(&client.id).unwrap().output_repeated > 0);
}

#[tokio::test]
async fn start_publication_may_never_come() {
    let (_home, agent) = node();
    let gateway = Gateway::new();
    let mut spec = session(agent, shell());
    spec.faults.withhold_start = true;
    let mut client = Client::start(&gateway, spec).await;
    client.hear("$ ").await;
    assert!(
        client
            .log
            .iter()
            .all(|message| message.message_type == MessageType::OutputStreamData)
    );
}
