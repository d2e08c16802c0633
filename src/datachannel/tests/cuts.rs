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

/// A proxy, or a gateway that has taken against us, may take every upgrade and end it at once.
#[tokio::test]
async fn sockets_that_are_of_no_use_are_sought_ever_more_rarely() {
    let far = Far::new().await;
    let options = Options {
        longest_pause: Duration::from_secs(10),
        ..OPTIONS
    };
    let gateway = Prepared::resuming((0..5).map(|_| Ok(Resumption::Open(far.opening("again")))));
    let (mut near, mut line) = pair(&far, gateway, options, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    line.send(bye()).await.unwrap();
    let (mut line, _) = far.accept().await;
    let first = Instant::now();
    for _ in 0..3 {
        line.send(bye()).await.unwrap();
        (line, _) = far.accept().await;
    }
    // Half of 250, 500 and 1000 ms is the least.
    assert!(
        first.elapsed() >= Duration::from_millis(875),
        "{:?}",
        first.elapsed()
    );
}

#[tokio::test]
async fn sockets_that_bring_something_are_sought_soon() {
    const SOCKETS: i64 = 7;
    let far = Far::new().await;
    let options = Options {
        longest_pause: Duration::from_secs(10),
        ..OPTIONS
    };
    let gateway = Prepared::resuming((0..SOCKETS).map(|_| Ok(Resumption::Open(far.opening("again")))));
    let (_near, mut line) = pair(&far, gateway, options, 64).await;
    let first = Instant::now();
    for sequence in 0..SOCKETS {
        line.send(output(sequence, "$ ")).await.unwrap();
        while acknowledged(&hear(&mut line).await) != Some(sequence) {}
        line.send(bye()).await.unwrap();
        (line, _) = far.accept().await;
    }
    // Growing, the pauses would take eight at the least; as they are, one and a half at the most.
    assert!(first.elapsed() < Duration::from_secs(5), "{:?}", first.elapsed());
}

/// Each socket lives for an hour, and brings nothing when nobody uses the session.
#[tokio::test]
async fn the_cut_of_a_socket_that_has_lived_is_answered_at_once() {
    let far = Far::new().await;
    let options = Options {
        longest_pause: Duration::from_secs(10),
        steady_after: Duration::from_millis(1),
        ..OPTIONS
    };
    let gateway = Prepared::resuming((0..7).map(|_| Ok(Resumption::Open(far.opening("again")))));
    let (mut near, mut line) = pair(&far, gateway, options, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    let first = Instant::now();
    for _ in 0..7 {
        tokio::time::sleep(options.steady_after * 2).await;
        line.send(bye()).await.unwrap();
        (line, _) = far.accept().await;
    }
    assert!(first.elapsed() < Duration::from_secs(5), "{:?}", first.elapsed());
}

/// What is still read of a socket that is given up is as much as it can hold, not what its peer can send.
#[tokio::test]
async fn a_flood_after_a_cut_is_not_heard_to_its_end() {
    let far = Far::new().await;
    let gateway: Arc<dyn Gateway> = Arc::new(Prepared::default());
    let dialer = Arc::new(Dialer::default());
    let opening = far.opening("first");
    let dialling = connect(&opening, Uuid::from_u128(7), gateway.as_ref(), &dialer);
    let (socket, (mut line, _)) = tokio::join!(dialling, far.accept());
    let mut socket = socket.unwrap();
    let flood = tokio::spawn(async move {
        let mut sequence = 0;
        while line.send(output(sequence, vec![b'x'; 100_000])).await.is_ok() {
            sequence += 1;
        }
    });
    let (events, _taken) = mpsc::channel(1);
    let (_writes, writes) = mpsc::channel(1);
    let (_urgent, urgent) = mpsc::channel(1);
    let orders = Orders {
        writes,
        urgent,
        handful: Arc::default(),
    };
    let mut driver = Driver::new(Uuid::from_u128(7), gateway, dialer, OPTIONS, events, orders);
    // Cut again and again, while the reader takes nothing.
    for _ in 0..3 {
        driver.read_rest(&mut socket).await;
        driver.collect().unwrap();
    }
    assert!(driver.pending_bytes > 0);
    assert!(
        driver.pending_bytes < 10 << 20,
        "{} bytes kept",
        driver.pending_bytes
    );
    drop(socket);
    flood.await.unwrap();
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
