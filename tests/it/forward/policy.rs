//! What the administrator's `[policy]` refuses of a forward, and what it lets pass.

use super::far::NODE;
use crate::env::TestEnv;

#[test]
fn what_the_policy_does_not_permit_is_refused_before_anything_starts() {
    let env = TestEnv::new();
    let host = ":db.internal:5432";
    for (policy, words, refused) in [
        (
            "bind = [\"loopback\"]",
            &[NODE, "0.0.0.0:0:localhost:80"][..],
            "does not permit forwards to listen on `0.0.0.0`",
        ),
        (
            "documents = [\"AWS-StartPortForwardingSession\"]",
            &[NODE, host],
            "does not permit the session document `AWS-StartPortForwardingSessionToRemoteHost`",
        ),
        (
            "documents = [\"AWS-*\"]",
            &["--document", "Ours", NODE, ":80"],
            "does not permit the session document `Ours`",
        ),
        (
            "transports = [\"plugin\"]",
            &["--transport", "native", NODE, ":80"],
            "does not permit the transport `native`",
        ),
        (
            "transports = [\"native\"]",
            &["--transport", "plugin", NODE, ":80"],
            "does not permit the transport `plugin`",
        ),
    ] {
        let words = [&["forward"], words].concat();
        let Some(told) = env.run_under(policy, &words) else {
            return;
        };
        assert_eq!(told.status, 252, "{policy}: {told}");
        assert!(told.stderr.contains(refused), "{policy}: {told}");
    }
    assert!(env.sandbox.sessions().is_empty());
    for (policy, words) in [
        ("bind = [\"loopback\"]", [NODE, "127.0.0.1:0:localhost:80"]),
        ("documents = [\"AWS-StartPortForwardingSession\"]", [NODE, ":80"]),
        ("transports = [\"native\"]", [NODE, ":80"]),
    ] {
        let words = [&["forward"], &words[..], &["--", "true"]].concat();
        env.run_under(policy, &words).unwrap().ok();
    }
}
