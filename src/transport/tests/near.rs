//! What runs in the child: one session, told aloud.

use std::sync::Arc;

use crate::aws::session::{ConnectionStatus, SessionRequest};
use crate::aws::{Aws, Settings};
use crate::transport::Carrier;
use crate::transport::plan::{Choice, Gate, Notice, Notices, SessionPlan, Shell, Work};

struct Aloud;

impl Notices for Aloud {
    fn notice(&self, notice: Notice) {
        assert!(!matches!(notice, Notice::EscapeHelp), "a bug on purpose");
        eprint!("<{notice:?}>\r\n");
    }
}

async fn child(choice: Choice, gated: Gated) {
    let aws = Arc::new(Aws::load(Settings::default()).await.unwrap());
    let target: crate::ids::NodeId = "i-0123456789abcdef0".parse().unwrap();
    let plan = SessionPlan {
        request: SessionRequest {
            target: target.clone(),
            document: None,
            parameters: [].into(),
            reason: None,
        },
        work: Work::Shell(Shell {
            escape: Some(b'~'),
            ..Shell::default()
        }),
        keepalive: None,
    };
    let asking = Arc::clone(&aws);
    // It agrees when AWS says that the node is connected; the far side lets AWS wait.
    let gate = async move {
        match asking.connection_status(&target).await.unwrap() {
            ConnectionStatus::Connected => Ok(()),
            ConnectionStatus::NotConnected => Err("it is another one now".to_owned()),
        }
    };
    let carrier = Carrier {
        aws,
        choice,
        stream_endpoints: Vec::new(),
    };
    let gate: Option<Gate> = (gated == Gated::Yes).then(|| Box::pin(gate) as Gate);
    let result = carrier.run(&plan, gate, &Aloud).await;
    eprint!("<<{result:?}>>");
}

#[derive(PartialEq)]
enum Gated {
    Yes,
    No,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of another test"]
async fn child_auto() {
    child(Choice::Auto, Gated::No).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of another test"]
async fn child_natively() {
    child(Choice::Native, Gated::No).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of another test"]
async fn child_gated() {
    child(Choice::Auto, Gated::Yes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of another test"]
async fn child_by_plugin() {
    child(Choice::Plugin, Gated::Yes).await;
}
