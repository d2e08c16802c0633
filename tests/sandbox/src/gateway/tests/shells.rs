//! Shells: what a person at the other end sees.

use std::time::Duration;

use serde_json::json;
use tokio::time::{sleep, timeout};

use ssmx::protocol::message::{MessageType, PayloadType, SYN};

use super::super::{Gateway, Kind, Resumed, Status};
use super::client::{Client, PATIENCE, connect};
use super::{node, session, shell};

#[tokio::test]
async fn a_shell_says_its_prompt_runs_commands_and_ends() {
    let (home, agent) = node();
    let gateway = Gateway::new();
    let mut client = Client::start(&gateway, session(agent, shell())).await;
    client.hear("[ssm-user@prod-web ~]$ ").await;
    assert_eq!(client.log[0].message_type, MessageType::StartPublication);
    assert_eq!((client.log[1].sequence, client.log[1].flags), (0, SYN));
    client
        .send(PayloadType::SIZE, json!({ "cols": 132, "rows": 50 }).to_string())
        .await;
    client.type_keys("stty size; echo $HOME $TERM $((6*7))\r").await;
    let said = client.hear("42\r\n").await;
    let home = home.path().display();
    assert!(said.contains("50 132\r\n"), "{said}");
    assert!(said.contains(&format!("{home} xterm-256color 42\r\n")), "{said}");
    assert_eq!(gateway.status(&client.id).unwrap().status, Status::Connected);
    client.type_keys("exit\r").await;
    client.rest().await;
    assert_eq!(client.closed.as_deref(), Some(""));
    let state = gateway.status(&client.id).unwrap();
    assert_eq!(state.status, Status::Terminated);
    assert!(state.ended.unwrap() >= state.started);
}

#[tokio::test]
async fn control_keys_reach_the_command() {
    let (_home, agent) = node();
    let gateway = Gateway::new();
    let mut client = Client::start(&gateway, session(agent, shell())).await;
    client.hear("$ ").await;
    client
        .type_keys("sh -c 'echo start\"\"ed; exec sleep 1000'\r")
        .await;
    client.hear("started").await;
    client.type_keys("\x03").await;
    client.hear("$ ").await;
    client.type_keys("exit\r").await;
    client.rest().await;
}

#[tokio::test]
async fn not_a_byte_of_the_end_is_lost() {
    let (_home, agent) = node();
    let gateway = Gateway::new();
    let kind = Kind::InteractiveCommands {
        command: "seq 1 20000".to_owned(),
    };
    let mut client = Client::start(&gateway, session(agent, kind)).await;
    let said = String::from_utf8(client.rest().await).unwrap();
    let wanted: String = (1..=20_000).map(|n| format!("{n}\r\n")).collect();
    assert!(said == wanted, "{} bytes of {}", said.len(), wanted.len());
    assert!(client.log.iter().all(|message| message.payload.len() <= 1024));
}

#[tokio::test]
async fn a_job_in_the_background_does_not_keep_the_session() {
    let (home, agent) = node();
    let gateway = Gateway::new();
    let mut client = Client::start(&gateway, session(agent, shell())).await;
    client.hear("$ ").await;
    client.type_keys("sleep 1004 & echo $! >job; exit\r").await;
    client.rest().await;
    assert_eq!(client.closed.as_deref(), Some(""));
    let job = std::fs::read_to_string(home.path().join("job")).unwrap();
    let gone = async {
        while is_running(job.trim()) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("the job is gone");
}

#[tokio::test]
async fn tokens_are_good_for_one_connection_and_the_client_stays_the_same() {
    let (_home, agent) = node();
    let gateway = Gateway::new();
    let id = "any shape of id/at all";
    let mut spec = session(agent, shell());
    spec.id = id.to_owned();
    let opening = gateway.open(spec);
    let mut client = Client::attach(&gateway, id, &opening).await;
    client.hear("$ ").await;
    for (token, client_id) in [
        (opening.token.clone(), client.client_id.clone()),
        ("made up".to_owned(), client.client_id.clone()),
    ] {
        let mut other = Client::attach(&gateway, id, &opening).await;
        other.line = connect(&gateway, id, &token, &client_id).await;
        assert_eq!(
            other.close_frame().await,
            Some((1008, "Invalid token".to_owned()))
        );
    }
    let Resumed::Open(anew) = gateway.resume(id) else {
        panic!("the session lives")
    };
    assert!(anew.token != opening.token && anew.cell != opening.cell);
    let mut stranger = Client::attach(&gateway, id, &anew).await;
    assert_eq!(
        stranger.close_frame().await,
        Some((1008, "ClientId has changed".to_owned()))
    );
    client.reattach(&anew).await;
    client.type_keys("echo he''re\r").await;
    client.hear("here").await;
    assert_eq!(gateway.resume("other"), Resumed::Unknown);
}

#[tokio::test]
async fn a_terminated_session_takes_its_processes_with_it() {
    let (home, agent) = node();
    let gateway = Gateway::new();
    let mut client = Client::start(&gateway, session(agent, shell())).await;
    client.hear("$ ").await;
    client
        .type_keys("sleep 1001 & sleep 1002 & echo $! $$ >pids; echo writ''ten; sleep 1003\r")
        .await;
    client.hear("written").await;
    let pids = std::fs::read_to_string(home.path().join("pids")).unwrap();
    assert!(pids.split_whitespace().all(is_running), "{pids}");
    assert!(gateway.terminate(&client.id, "by an administrator"));
    client.rest().await;
    assert_eq!(client.closed.as_deref(), Some("by an administrator"));
    assert!(!gateway.terminate(&client.id, ""));
    assert_eq!(gateway.resume(&client.id), Resumed::Unknown);
    let gone = async {
        for pid in pids.split_whitespace() {
            while is_running(pid) {
                sleep(Duration::from_millis(5)).await;
            }
        }
    };
    timeout(PATIENCE, gone).await.expect("the processes are gone");
}

fn is_running(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
}

#[tokio::test]
async fn a_gateway_that_is_dropped_leaves_nothing() {
    let (home, agent) = node();
    let gateway = Gateway::new();
    let mut client = Client::start(&gateway, session(agent, shell())).await;
    client.hear("$ ").await;
    client.type_keys("echo $$ >pid; echo writ''ten\r").await;
    client.hear("written").await;
    let pid = std::fs::read_to_string(home.path().join("pid")).unwrap();
    let pid = pid.trim();
    assert!(is_running(pid), "{pid}");
    gateway.shutdown().await;
    let gone = async {
        while is_running(pid) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("the shell is gone");
}

#[tokio::test]
async fn a_start_failure_is_told_in_the_agent_s_words() {
    let (_home, agent) = node();
    let gateway = Gateway::new();
    let mut spec = session(agent, shell());
    spec.start_failure = Some("Unable to start shell: user does not exist".to_owned());
    let mut client = Client::start(&gateway, spec).await;
    client.rest().await;
    assert_eq!(
        client.closed.as_deref(),
        Some("Unable to start shell: user does not exist")
    );
    assert_eq!(gateway.status(&client.id).unwrap().status, Status::Failed);
}

#[tokio::test]
async fn idle_and_old_sessions_end_and_cannot_be_resumed() {
    for (idle, oldest) in [
        (Some(Duration::from_millis(50)), None),
        (None, Some(Duration::from_millis(50))),
    ] {
        let (_home, agent) = node();
        let gateway = Gateway::new();
        let mut spec = session(agent, shell());
        spec.idle_timeout = idle;
        spec.max_duration = oldest;
        let mut client = Client::start(&gateway, spec).await;
        client.rest().await;
        assert!(
            client
                .closed
                .as_deref()
                .is_some_and(|words| words.starts_with("Your session"))
        );
        assert_eq!(gateway.resume(&client.id), Resumed::TimedOut);
    }
}
