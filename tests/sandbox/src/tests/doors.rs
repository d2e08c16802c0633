//! Who is let in: signatures, faults, TLS, the proxy, and the end of it all.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use jiff::SignedDuration;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::client::{Client, exchange};
use super::demo;
use crate::{ApiFault, Effect, Sandbox, Scenario};

#[tokio::test]
async fn each_service_says_in_its_own_words_who_is_not_let_in() {
    let sandbox = demo().await;
    let alice = Client::alice(&sandbox);
    let expired = Client {
        key: "ASIASANDBOXPROD00002",
        secret: "sandbox/prod/expired/not-a-real-secret",
        token: Some("sandbox-session-token-of-an-expired-key"),
        ..alice.clone()
    };
    let cases = [
        (
            "a wrong secret",
            Client {
                secret: "x",
                ..alice.clone()
            },
            [
                "InvalidSignatureException",
                "AuthFailure",
                "SignatureDoesNotMatch",
            ],
        ),
        (
            "an unknown key",
            Client {
                key: "AKIAX",
                ..alice.clone()
            },
            [
                "UnrecognizedClientException",
                "AuthFailure",
                "InvalidClientTokenId",
            ],
        ),
        (
            "an expired key",
            expired.clone(),
            ["ExpiredTokenException", "RequestExpired", "ExpiredToken"],
        ),
        (
            "a temporary key without its token",
            Client {
                token: None,
                ..expired
            },
            [
                "UnrecognizedClientException",
                "AuthFailure",
                "InvalidClientTokenId",
            ],
        ),
        (
            "a region that is not switched on",
            Client {
                region: "ap-east-1",
                ..alice.clone()
            },
            [
                "UnrecognizedClientException",
                "AuthFailure",
                "InvalidClientTokenId",
            ],
        ),
        (
            "a clock an hour behind",
            Client {
                at: alice.at - SignedDuration::from_hours(1),
                ..alice.clone()
            },
            [
                "InvalidSignatureException",
                "RequestExpired",
                "SignatureDoesNotMatch",
            ],
        ),
    ];
    for (what, client, [ssm, ec2, sts]) in cases {
        let information = client.ssm("DescribeInstanceInformation", json!({})).await;
        assert_eq!(information.code(), ssm, "{what}");
        assert!(information.head.contains("x-amzn-requestid"), "{what}");
        assert_eq!(
            client.ec2("DescribeInstances", &[]).await.element("Code"),
            ec2,
            "{what}"
        );
        let identity = client.form("sts", "2011-06-15", "GetCallerIdentity", &[]).await;
        assert_eq!(
            (identity.status, identity.element("Code").as_str()),
            (403, sts),
            "{what}"
        );
    }
    let identity = alice.form("sts", "2011-06-15", "GetCallerIdentity", &[]).await;
    assert_eq!(identity.element("Arn"), "arn:aws:iam::111122223333:user/alice");
}

#[tokio::test]
async fn a_signature_for_another_service_or_none_is_refused() {
    let sandbox = demo().await;
    let alice = Client::alice(&sandbox);
    let other = alice
        .json("ec2", "AmazonSSM.DescribeInstanceInformation", json!({}))
        .await;
    assert_eq!(other.code(), "InvalidSignatureException");
    let unsigned = Request::post("/")
        .header("host", &alice.address)
        .header("x-amz-target", "AmazonSSM.DescribeInstanceInformation");
    let unsigned = alice.send(unsigned.body(b"{}".to_vec()).unwrap()).await;
    assert_eq!(unsigned.code(), "MissingAuthenticationTokenException");
    assert_eq!(
        alice.ssm("ListDocuments", json!({})).await.code(),
        "UnknownOperationException"
    );
    assert_eq!(
        alice.ec2("DescribeVolumes", &[]).await.element("Code"),
        "InvalidAction"
    );
}

#[tokio::test]
async fn keys_expire_as_the_world_s_clock_goes() {
    let text = "[[accounts]]\nid = \"111122223333\"\nalias = \"a\"\n[[accounts.keys]]\nid = \"ASIAX\"\nsecret = \"s\"\nsession_token = \"t\"\nidentity = \"user/x\"\nexpires = \"2999-01-01T00:00:00Z\"";
    let sandbox = Sandbox::start(Scenario::parse(text, "test").unwrap())
        .await
        .unwrap();
    let client = Client {
        key: "ASIAX",
        secret: "s",
        token: Some("t"),
        ..Client::alice(&sandbox)
    };
    assert_eq!(
        client
            .form("sts", "2011-06-15", "GetCallerIdentity", &[])
            .await
            .status,
        200
    );
    sandbox
        .world()
        .advance(SignedDuration::from_hours(24 * 366 * 1000));
    assert_eq!(
        client
            .form("sts", "2011-06-15", "GetCallerIdentity", &[])
            .await
            .element("Code"),
        "ExpiredToken"
    );
}

#[tokio::test]
async fn faults_come_and_go_and_calls_are_noted() {
    let sandbox = demo().await;
    let alice = Client::alice(&sandbox);
    sandbox
        .faults()
        .add(ApiFault::new("ec2:*", Effect::Throttle).times(1));
    sandbox.faults().add(ApiFault::new("ssm:*", Effect::Deny));
    let throttled = alice.ec2("DescribeRegions", &[]).await;
    assert_eq!(
        (throttled.status, throttled.element("Code").as_str()),
        (503, "RequestLimitExceeded")
    );
    assert_eq!(alice.ec2("DescribeRegions", &[]).await.status, 200);
    let denied = alice
        .ssm("StartSession", json!({ "Target": "i-0a1b2c3d4e5f60001" }))
        .await;
    assert_eq!(denied.code(), "AccessDeniedException");
    assert!(
        denied
            .body
            .contains("not authorized to perform: ssm:StartSession")
    );
    sandbox.faults().clear();
    assert_eq!(
        alice.ssm("DescribeInstanceInformation", json!({})).await.status,
        200
    );

    let calls = sandbox.calls().all();
    let seen: Vec<_> = calls
        .iter()
        .map(|call| (call.operation.as_str(), call.status, call.error.as_deref()))
        .collect();
    assert_eq!(
        seen,
        [
            ("ec2:DescribeRegions", Some(503), Some("RequestLimitExceeded")),
            ("ec2:DescribeRegions", Some(200), None),
            ("ssm:StartSession", Some(400), Some("AccessDeniedException")),
            ("ssm:DescribeInstanceInformation", Some(200), None),
        ]
    );
    assert_eq!(calls[2].parameters["Target"], "i-0a1b2c3d4e5f60001");
    assert_eq!(
        (calls[0].account.as_str(), calls[0].region.as_str()),
        ("111122223333", "eu-west-2")
    );
}

#[tokio::test]
async fn a_call_can_be_cut_off_or_left_without_an_answer() {
    let sandbox = demo().await;
    let alice = Client::alice(&sandbox);
    sandbox
        .faults()
        .add(ApiFault::new("sts:GetCallerIdentity", Effect::Cut).times(1));
    sandbox
        .faults()
        .add(ApiFault::new("sts:GetCallerIdentity", Effect::Hang));
    let request = || {
        let body = b"Action=GetCallerIdentity&Version=2011-06-15".to_vec();
        let mut request = Request::post("/")
            .header("host", &alice.address)
            .body(body)
            .unwrap();
        alice.sign("sts", &mut request);
        request
    };
    let connect = || TcpStream::connect(&alice.address);
    assert!(exchange(connect().await.unwrap(), request()).await.is_none());
    let hanging = exchange(connect().await.unwrap(), request());
    assert!(
        tokio::time::timeout(Duration::from_millis(200), hanging)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn aws_s_own_hosts_lead_here_through_the_proxy_and_tls() {
    let sandbox = demo().await;
    sandbox.proxy().require("alice", "pässword");
    let proxy = sandbox.proxy_url().trim_start_matches("http://").to_owned();
    let tunnel = async |target: &str, credentials: &str| {
        let mut stream = TcpStream::connect(&proxy).await.unwrap();
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{credentials}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        let status: u16 = String::from_utf8(answer).unwrap()[9..].parse().unwrap();
        (stream, status)
    };
    let let_in = "Proxy-Authorization: Basic YWxpY2U6cMOkc3N3b3Jk\r\n";
    let host = "ssm.eu-west-2.amazonaws.com";
    assert_eq!(tunnel(&format!("{host}:443"), "").await.1, 407);
    assert_eq!(tunnel("example.com:443", let_in).await.1, 403);
    let (mut stream, status) = tunnel(&format!("{host}:443"), let_in).await;
    assert_eq!(status, 200);
    while !{
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(stream.read_u8().await.unwrap());
        }
        line == b"\r\n"
    } {}

    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(sandbox.ca_bundle()).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host).unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap();
    let alice = Client {
        address: host.to_owned(),
        ..Client::alice(&sandbox)
    };
    let mut request = Request::post("/")
        .header("host", host)
        .header("x-amz-target", "AmazonSSM.StartSession")
        .body(br#"{"Target":"i-0a1b2c3d4e5f60001"}"#.to_vec())
        .unwrap();
    alice.sign("ssm", &mut request);
    let answer = exchange(stream, request).await.unwrap();
    let url = answer.json()["StreamUrl"].as_str().unwrap().to_owned();
    assert!(
        url.starts_with("wss://ssmmessages.eu-west-2.amazonaws.com/v1/data-channel/alice-"),
        "{url}"
    );
    assert!(sandbox.calls().all()[0].tls);
    let statuses: Vec<u16> = sandbox
        .proxy()
        .passages()
        .iter()
        .map(|passage| passage.status)
        .collect();
    assert_eq!(statuses, [407, 403, 200]);
}

#[tokio::test]
async fn many_run_side_by_side_and_nothing_is_left_of_one_that_ended() {
    let sandboxes = futures_util::future::join_all((0..8).map(|_| demo())).await;
    let mut places = Vec::new();
    for sandbox in &sandboxes {
        let alice = Client::alice(sandbox);
        assert_eq!(alice.ec2("DescribeRegions", &[]).await.status, 200);
        assert_eq!(
            sandbox.calls().count("ec2:DescribeRegions"),
            1,
            "each has its own memory"
        );
        places.push((alice.address, sandbox.dir().to_owned()));
    }
    tokio::task::spawn_blocking(move || drop(sandboxes))
        .await
        .unwrap();
    for (address, dir) in places {
        assert!(TcpStream::connect(&address).await.is_err());
        assert!(!dir.exists());
    }
}
