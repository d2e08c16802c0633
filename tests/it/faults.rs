//! The fault matrix of `docs/faults.md`: everything that can happen to a data channel happens to the built program,
//! in each kind of session.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;

use jiff::SignedDuration;
use serde_json::Value;
use ssmx_sandbox::fault::{Faults, Lossy, Pauses, Resume, Trigger, Upgrade};
use ssmx_sandbox::{ApiFault, Effect};

use crate::credentials::scenery;
use crate::env::TestEnv;
use crate::terminal::{Terminal, numbers};

/// What a data channel may suffer without harm.
struct Weather {
    name: &'static str,
    faults: Faults,
    /// Whether the person reads of it.
    told: bool,
}

fn weather() -> [Weather; 9] {
    let now_and_again = Some(Trigger {
        after_bytes: 20_000,
        times: 3,
        ..Trigger::default()
    });
    let lossy = |share| Lossy {
        lose: share,
        lose_acks: share,
        ..Lossy::default()
    };
    let both_ways = |lossy| Faults {
        to_client: lossy,
        to_agent: lossy,
        ..Faults::default()
    };
    let quiet = |name, faults| Weather {
        name,
        faults,
        told: false,
    };
    let loud = |name, faults| Weather {
        name,
        faults,
        told: true,
    };
    [
        loud(
            "cut",
            Faults {
                cut: now_and_again,
                ..Faults::default()
            },
        ),
        loud(
            "bye",
            Faults {
                bye: now_and_again,
                ..Faults::default()
            },
        ),
        quiet(
            "pauses",
            Faults {
                pauses: Some(Pauses {
                    every_ms: 30,
                    for_ms: 60,
                }),
                ..Faults::default()
            },
        ),
        quiet("1 % lost each way", both_ways(lossy(0.01))),
        quiet("10 % lost each way", both_ways(lossy(0.1))),
        quiet(
            "10 % twice",
            both_ways(Lossy {
                repeat: 0.1,
                ..Lossy::default()
            }),
        ),
        quiet(
            "10 % overtaken",
            both_ways(Lossy {
                reorder: 0.1,
                ..Lossy::default()
            }),
        ),
        quiet(
            "acknowledgements late",
            both_ways(Lossy {
                delay_acks_ms: 1_200,
                ..Lossy::default()
            }),
        ),
        quiet(
            "odd messages",
            Faults {
                withhold_start: true,
                unknown_messages: true,
                unknown_payloads: true,
                zero_dates: true,
                ..Faults::default()
            },
        ),
    ]
}

/// An agent that is paused while it still reads a command's output gives up: what pauses it comes when it has read
/// all, and not all of it has arrived.
fn after_the_output(mut faults: Faults, length: usize) -> Faults {
    for trigger in [&mut faults.cut, &mut faults.bye].into_iter().flatten() {
        trigger.after_bytes = length as u64 - 500;
    }
    if let Some(pauses) = &mut faults.pauses {
        pauses.every_ms = 500;
    }
    faults
}

#[test]
fn a_command_s_output_and_status_come_whole_in_any_weather() {
    let expected: String = (1..=9_000).map(|n| format!("{n}\n")).collect();
    for Weather { name, faults, told } in weather() {
        let env = TestEnv::with_separate_output();
        env.sandbox
            .set_session_faults(Some(after_the_output(faults, expected.len())));
        // An agent gives up 2 s after the end of a command, whatever was lost by then.
        let run = env.run(&["exec", "prod-web", "--shell", "seq 1 9000; sleep 4; exit 7"]);
        assert_eq!(run.status, 7, "{name}: {}", run.stderr);
        assert!(run.stdout == expected, "{name}: {} bytes", run.stdout.len());
        assert_eq!(
            run.stderr.contains("reconnecting…\nback "),
            told,
            "{name}: {}",
            run.stderr
        );
        assert!(told || run.stderr.is_empty(), "{name}: {}", run.stderr);
    }
}

#[test]
fn a_stream_is_carried_whole_both_ways_in_any_weather() {
    for Weather { name, faults, told } in weather() {
        let env = TestEnv::new();
        env.sandbox.set_session_faults(Some(faults));
        let sent: Vec<u8> = (0..60_000_u32).flat_map(u32::to_le_bytes).take(100_000).collect();
        let service = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = service.local_addr().unwrap().port().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = service.accept().unwrap();
            // Back as it comes: both directions are full at once. The end is the client's.
            let mut back = stream.try_clone().unwrap();
            std::io::copy(&mut stream, &mut back).unwrap()
        });
        let mut proxy = env
            .command(&["proxy", "prod-web", &port, "--linger", "1s"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = proxy.stdin.take().unwrap();
        let out = sent.clone();
        let writer = std::thread::spawn(move || {
            stdin.write_all(&out).unwrap();
            stdin
        });
        let mut heard = vec![0; sent.len()];
        let whole = proxy.stdout.as_mut().unwrap().read_exact(&mut heard);
        if whole.is_err() || heard != sent {
            let mut said = String::new();
            proxy.stderr.unwrap().read_to_string(&mut said).unwrap();
            panic!("{name}: {whole:?} {said}");
        }
        drop(writer.join().unwrap());
        let output = proxy.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(server.join().unwrap(), sent.len() as u64, "{name}");
        assert!(
            output.status.success() && output.stdout.is_empty(),
            "{name}: {said}"
        );
        assert_eq!(said.contains("reconnecting…\nback "), told, "{name}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_screen_of_a_shell_come_whole_in_any_weather() {
    for Weather { name, faults, told } in weather() {
        let env = TestEnv::new();
        let mut terminal = env.terminal(&["connect", "prod-web"]);
        terminal.expect("$ ").await;
        let session = env.sandbox.sessions()[0].id.clone();
        env.sandbox.gateway().set_faults(&session, faults);
        // Keys, a message each, into a program that takes them as they come.
        let keys: String = (0..120).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
        terminal
            .line("stty raw -echo; echo rea''dy; head -c 120 > keys; stty sane; echo go''t $(cat keys)")
            .await;
        terminal.expect("ready").await;
        for key in keys.chars() {
            terminal.send(&key.to_string()).await;
        }
        let mut screen = terminal.expect(&format!("got {keys}")).await;
        terminal.line("seq 1 5000; echo all th''ere").await;
        let printed = terminal.expect("all there").await;
        let lines = numbers(&printed);
        assert!(
            lines.iter().copied().eq(1..=5000),
            "{name}: {} lines",
            lines.len()
        );
        screen.push_str(&printed);
        terminal.line("exit").await;
        let (rest, status) = terminal.finish().await;
        assert!(status.success() && terminal.is_as_before(), "{name}: {rest}");
        // Acknowledgements count too, and a gateway hands on what it has before it says "Bye": it is told with the
        // keys where these were slow, and after the last line where that was quick.
        screen.push_str(&rest);
        assert_eq!(screen.contains("reconnecting…"), told, "{name}");
    }
}

/// A shell that prints for ever, its session's id.
async fn talking_shell(env: &TestEnv, words: &[&str]) -> (Terminal, String) {
    let mut terminal = env.terminal(&[&["connect", "prod-web"], words].concat());
    terminal.expect("$ ").await;
    terminal
        .line("echo beg''un; n=0; while :; do n=$((n + 1)); echo \"line $n\"; sleep 0.05; done")
        .await;
    terminal.expect("begun").await;
    let session = env.sandbox.sessions()[0].id.clone();
    (terminal, session)
}

async fn leave(mut terminal: Terminal) {
    terminal.send("\x03").await;
    terminal.expect("$ ").await;
    terminal.line("exit").await;
    let (rest, status) = terminal.finish().await;
    assert!(status.success() && terminal.is_as_before(), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_restarted_is_waited_for() {
    let env = TestEnv::new();
    let (mut terminal, session) = talking_shell(&env, &[]).await;
    // It cuts everybody off, and comes back after three refusals.
    let away = Upgrade {
        status: Some(503),
        times: Some(3),
    };
    let faults = Faults {
        upgrade: Some(away),
        ..Faults::default()
    };
    env.sandbox.gateway().set_faults(&session, faults);
    env.sandbox.gateway().cut_all();
    terminal.expect("reconnecting…\r\n").await;
    terminal.expect("back after ").await;
    terminal.expect("line ").await;
    leave(terminal).await;
    assert_eq!(env.sandbox.calls_of("ssm:ResumeSession").len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_resumed_ends_with_the_reason_and_a_sane_terminal() {
    let refusals = [
        (Resume::NoToken, None, "error: the session had timed out"),
        (Resume::Unknown, None, "does not exist or has expired"),
        (
            Resume::Granted,
            Some(Effect::Deny),
            "is not authorized to perform: ssm:ResumeSession",
        ),
    ];
    for (resume, effect, word) in refusals {
        let env = TestEnv::new();
        let (mut terminal, session) = talking_shell(&env, &[]).await;
        if let Some(effect) = effect {
            env.sandbox
                .faults()
                .add(ApiFault::new("ssm:ResumeSession", effect));
        }
        let faults = Faults {
            resume,
            ..Faults::default()
        };
        env.sandbox.gateway().set_faults(&session, faults);
        env.sandbox.gateway().cut(&session);
        let (screen, status) = terminal.finish().await;
        assert_eq!(status.code(), Some(255), "{resume:?} {effect:?}: {screen}");
        assert!(screen.contains(word), "{resume:?} {effect:?}: {screen}");
        assert!(terminal.is_as_before());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_have_expired_are_fetched_anew_to_resume() {
    let env = scenery();
    let (mut terminal, session) = talking_shell(&env, &["--profile", "second"]).await;
    let before = env.sandbox.calls_of("sts:AssumeRole").len();
    env.sandbox.world().advance(SignedDuration::from_hours(2));
    env.sandbox.gateway().cut(&session);
    terminal.expect("reconnecting…\r\n").await;
    terminal.expect("back ").await;
    terminal.expect("line ").await;
    leave(terminal).await;
    assert!(env.sandbox.calls_of("sts:AssumeRole").len() > before);
}

/// Temporary keys of the profile `second`, written into the file of keys as other programs do.
fn write_keys(env: &TestEnv) {
    let cache = env.home().join(".aws/cli/cache");
    drop(fs::remove_dir_all(&cache));
    assert_eq!(env.run(&["whoami", "--profile", "second"]).status, 0);
    let cached = fs::read_dir(&cache).unwrap().map(|entry| {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    });
    let second = |cached: &Value| cached["AssumedRoleUser"]["Arn"].to_string().contains("/second/");
    let cached = cached.into_iter().find(second).unwrap();
    let key = |name: &str| cached["Credentials"][name].as_str().unwrap().to_owned();
    let text = format!(
        "[written]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}\n",
        key("AccessKeyId"),
        key("SecretAccessKey"),
        key("SessionToken")
    );
    fs::write(env.home().join(".aws/credentials"), text).unwrap();
    fs::remove_dir_all(&cache).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_in_the_file_are_found_when_the_old_ones_have_expired() {
    let env = scenery();
    write_keys(&env);
    let words = ["--profile", "written", "--region", "eu-west-2"];
    let (mut terminal, session) = talking_shell(&env, &words).await;
    env.sandbox.world().advance(SignedDuration::from_hours(2));
    env.sandbox.gateway().cut(&session);
    terminal.expect("reconnecting…\r\n").await;
    terminal
        .expect("still reconnecting: ssm:ResumeSession: ExpiredToken")
        .await;
    write_keys(&env);
    terminal.expect("back after ").await;
    terminal.expect("line ").await;
    leave(terminal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_whose_agent_is_dead_is_left_by_the_escape() {
    let env = TestEnv::new();
    let (mut terminal, session) = talking_shell(&env, &[]).await;
    env.sandbox.gateway().kill_agent(&session);
    terminal.send("\x03\r~.").await;
    let (screen, status) = terminal.finish().await;
    assert_eq!(status.code(), Some(0), "{screen}");
    assert!(terminal.is_as_before());
    assert_eq!(env.sandbox.calls_of("ssm:TerminateSession").len(), 1);
    // A command has nobody to type: the time that it was given ends it.
    let dead = Faults {
        kill_agent: Some(Trigger {
            after_bytes: 200,
            ..Trigger::default()
        }),
        ..Faults::default()
    };
    env.sandbox.set_session_faults(Some(dead));
    let told = env.run(&["exec", "prod-web", "--timeout", "3s", "--", "seq", "1", "1000"]);
    assert_eq!(told.status, 255, "{told}");
    assert!(told.stderr.contains("did not end within 3 s"), "{told}");
}

#[test]
fn output_that_the_agent_did_not_wait_for_is_missed() {
    let env = TestEnv::new();
    // The last message but a few is lost again and again.
    env.sandbox.set_session_faults(Some(Faults {
        seed: 3,
        to_client: Lossy {
            lose: 0.4,
            ..Lossy::default()
        },
        ..Faults::default()
    }));
    let told = env.run(&["exec", "prod-web", "--shell", "seq 1 20000"]);
    assert_eq!(told.status, 255, "{told}");
    assert!(
        told.stderr.contains("before all of its output had come"),
        "{}",
        told.stderr
    );
}

#[test]
fn frames_that_are_no_messages_do_no_harm() {
    let env = TestEnv::new();
    env.sandbox.set_session_faults(Some(Faults {
        gibberish: Some(Trigger {
            after_bytes: 5_000,
            ..Trigger::default()
        }),
        ..Faults::default()
    }));
    let told = env.run(&["exec", "prod-web", "--", "seq", "1", "9000"]);
    assert_eq!(told.stderr, "");
    assert_eq!(told.ok().lines().count(), 9000);
}
