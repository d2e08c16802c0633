//! Sockets that go: cuts, silence of the gateway, resuming and what refuses it.

use super::*;

#[tokio::test]
async fn the_hourly_bye_is_a_cut_and_the_session_goes_on_at_another_address() {
    let (far, second) = (Far::new().await, Far::new().await);
    let gateway = Prepared::resuming([
        Err(failure("the network is away", Lasting::Passing)),
        Ok(Resumption::Open(second.opening("second"))),
    ]);
    let (mut near, mut line) = pair(&far, gateway.clone(), OPTIONS, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    assert_eq!(acknowledged(&hear(&mut line).await), Some(0));
    near.write(b"ls\r").await;
    let unacknowledged = hear_input(&mut line).await;
    line.send(bye()).await.unwrap();

    let (mut line, open) = second.accept().await;
    assert_eq!(open["TokenValue"], "second");
    assert_eq!(open["ClientId"], Uuid::from_u128(7).to_string());
    assert_eq!(
        hear_input(&mut line).await,
        unacknowledged,
        "it is repeated at once, number and id"
    );
    assert_eq!(
        gateway.signatures.load(Ordering::SeqCst),
        2,
        "each dial is signed"
    );
    let Event::Reconnecting { cause } = near.event().await else {
        panic!("not told")
    };
    assert!(cause.contains("1000") && cause.contains("Bye"), "{cause}");
    assert!(matches!(near.event().await, Event::Reconnected { .. }));
    line.send(output(1, "README")).await.unwrap();
    assert!(matches!(near.event().await, Event::Output(bytes) if bytes == "README"));
}

/// The plugin gives up after some seconds and stays, dead.
#[tokio::test]
async fn a_network_that_is_long_away_is_waited_for() {
    let (far, second) = (Far::new().await, Far::new().await);
    let away = (0..12).map(|_| Err(failure("the network is away", Lasting::Passing)));
    let back = Ok(Resumption::Open(second.opening("second")));
    let gateway = Prepared::resuming(away.chain([back]));
    let (mut near, mut line) = pair(&far, gateway, OPTIONS, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    drop(line);
    let (mut line, _) = second.accept().await;
    assert!(matches!(near.event().await, Event::Reconnecting { .. }));
    assert!(matches!(near.event().await, Event::Reconnected { .. }));
    line.send(output(1, "README")).await.unwrap();
    assert!(matches!(near.event().await, Event::Output(bytes) if bytes == "README"));
}

#[tokio::test]
async fn an_old_socket_is_renewed_in_a_quiet_moment_and_nobody_is_told() {
    let (far, second) = (Far::new().await, Far::new().await);
    let options = Options {
        renew_after: Duration::from_millis(50),
        ..OPTIONS
    };
    let gateway = Prepared::resuming([Ok(Resumption::Open(second.opening("second")))]);
    let (mut near, mut line) = pair(&far, gateway, options, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    // While input is under way the moment is not quiet.
    near.write(b"ls\r").await;
    let typed = hear_input(&mut line).await;
    assert!(
        timeout(options.renew_after * 3, second.listener.accept())
            .await
            .is_err()
    );
    line.send(acknowledge(&typed)).await.unwrap();
    let (mut line, _) = second.accept().await;
    line.send(output(1, "README")).await.unwrap();
    assert!(matches!(near.event().await, Event::Output(bytes) if bytes == "README"));
}

#[tokio::test]
async fn a_gateway_that_answers_no_ping_counts_as_cut() {
    let (far, second) = (Far::new().await, Far::new().await);
    let options = Options {
        ping_every: Duration::from_millis(30),
        deaf_after: Duration::from_millis(200),
        ..OPTIONS
    };
    let gateway = Prepared::resuming([Ok(Resumption::Open(second.opening("second")))]);
    // The first line is kept and not polled, so that no pong leaves.
    let (mut near, mut line) = pair(&far, gateway, options, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    let (mut second_line, _) = second.accept().await;
    let Event::Reconnecting { cause } = near.event().await else {
        panic!("not told")
    };
    assert!(cause.contains("nothing was heard"), "{cause}");
    assert!(matches!(near.event().await, Event::Reconnected { .. }));
    // One that answers pings is kept, well beyond the deadline.
    let started = tokio::time::Instant::now();
    let mut pings = 0;
    while started.elapsed() < options.deaf_after * 3 {
        if let Ok(frame) = timeout(options.deaf_after, second_line.next()).await {
            pings += usize::from(matches!(frame, Some(Ok(Frame::Ping(_)))));
        }
    }
    assert!(pings >= 3, "{pings}");
    assert!(near.events.try_recv().is_err(), "the second line was cut too");
}

#[tokio::test]
async fn a_session_that_ended_while_we_were_away_says_so() {
    let far = Far::new().await;
    let gateway = Prepared::resuming([Ok(Resumption::TimedOut)]);
    let (mut near, mut line) = pair(&far, gateway, OPTIONS, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    drop(line);
    assert!(matches!(near.event().await, Event::Reconnecting { .. }));
    assert!(matches!(near.event().await, Event::TimedOut));
}

#[tokio::test]
async fn what_cannot_be_resumed_fails_with_the_reason() {
    let far = Far::new().await;
    let gateway = Prepared::resuming([Err(failure("the credentials have expired", Lasting::Final))]);
    let (mut near, mut line) = pair(&far, gateway, OPTIONS, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    drop(line);
    assert!(matches!(near.event().await, Event::Reconnecting { .. }));
    let Event::Failed(error) = near.event().await else {
        panic!("not told")
    };
    assert_eq!(error.to_string(), "the credentials have expired");
}

#[tokio::test]
async fn a_refused_upgrade_tells_status_and_body() {
    let far = Far::new().await;
    let opening = far.opening("first");
    let refuse = async {
        let (mut tcp, _) = far.listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let length = tcp.read(&mut request).await.unwrap();
        let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
        assert!(request.contains("authorization: signature 1"), "{request}");
        let refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nnot today";
        tcp.write_all(refusal).await.unwrap();
        tcp
    };
    let gateway = Prepared::default();
    let dialer = Dialer::default();
    let (result, _tcp) = tokio::join!(connect(&opening, Uuid::from_u128(7), &gateway, &dialer), refuse);
    let error = result.unwrap_err().to_string();
    assert_eq!(error, "the gateway refused the data channel: HTTP 403 not today");
}
