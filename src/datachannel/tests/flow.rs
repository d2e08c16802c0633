//! Both directions at once, and readers that are slow.

use super::*;

/// A peer that reads only while it can write.
#[tokio::test]
async fn both_directions_full_do_not_stand_still() {
    const MESSAGES: i64 = 20_000;
    let far = Far::new().await;
    let options = Options {
        limits: Limits::PORT,
        read_ahead: 64 << 20,
        ..OPTIONS
    };
    let (mut near, mut line) = pair(&far, Arc::new(Prepared::default()), options, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    let writes = near.writes.clone();
    let writing = tokio::spawn(async move {
        // More than all buffers on the way hold; the window stops it, the test does not wait for it.
        while writes
            .send(Write::Bytes(Bytes::from(vec![b'y'; 32 * 1024])))
            .await
            .is_ok()
        {}
    });
    // It reads nothing until it has written everything.
    for sequence in 1..=MESSAGES {
        line.feed(output(sequence, vec![b'x'; 1024])).await.unwrap();
    }
    line.flush().await.unwrap();
    let mut heard = 0;
    while heard < MESSAGES {
        if let Event::Output(_) = near.event().await {
            heard += 1;
        }
    }
    writing.abort();
}

/// What has room by then is the window; a write that fills the buffer by itself is gone at once.
#[tokio::test]
async fn writes_larger_than_the_buffer_do_not_wait_for_each_other_s_acknowledgement() {
    const LARGE: [u8; 8192] = [b'x'; 8192];
    let far = Far::new().await;
    let options = Options {
        limits: Limits {
            payload: LARGE.len(),
            unsent: LARGE.len() / 2,
            ..Limits::PORT
        },
        ..OPTIONS
    };
    let (mut near, mut line) = pair(&far, Arc::new(Prepared::default()), options, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    for _ in 0..4 {
        near.write(&LARGE).await;
    }
    for number in 0..4 {
        let message = hear_input(&mut line).await;
        assert_eq!((message.sequence, message.payload.len()), (number, LARGE.len()));
    }
}

#[tokio::test]
async fn a_slow_reader_loses_nothing_and_stops_the_acknowledgements() {
    const COUNT: i64 = 400;
    let far = Far::new().await;
    let (mut near, mut line) = pair(&far, Arc::new(Prepared::default()), OPTIONS, 2).await;
    line.send(output(0, "$ ")).await.unwrap();
    for sequence in 1..=COUNT {
        line.feed(output(sequence, vec![b'x'; 100])).await.unwrap();
    }
    line.flush().await.unwrap();
    // Two events wait in the queue and one message's worth with the driver; the rest is not acknowledged.
    let mut early = 0;
    while timeout(Duration::from_millis(300), line.next()).await.is_ok() {
        early += 1;
    }
    assert!(early < 10, "{early} acknowledged unread");
    expect_ready(&mut near).await;
    for sequence in 1..=COUNT {
        assert!(matches!(near.event().await, Event::Output(_)), "{sequence}");
    }
    let mut last = None;
    while last != Some(COUNT) {
        last = acknowledged(&hear(&mut line).await).or(last);
    }
}

/// A flag has four bytes, and what it is kept in many more.
#[tokio::test]
async fn a_slow_reader_stops_events_without_bytes_too() {
    const COUNT: i64 = 4000;
    let far = Far::new().await;
    let options = Options {
        read_ahead: 64 * 1024,
        ..OPTIONS
    };
    let (_near, mut line) = pair(&far, Arc::new(Prepared::default()), options, 2).await;
    line.send(output(0, "$ ")).await.unwrap();
    for sequence in 1..=COUNT {
        line.feed(flag(sequence)).await.unwrap();
    }
    line.flush().await.unwrap();
    let mut early = 0;
    while timeout(Duration::from_millis(300), line.next()).await.is_ok() {
        early += 1;
    }
    assert!(early < COUNT / 2, "{early} acknowledged unread");
}

/// Repeated for ever, a message is owed an acknowledgement each time.
#[tokio::test]
async fn a_peer_that_takes_no_acknowledgements_is_not_heard_for_ever() {
    let (far, second) = (Far::new().await, Far::new().await);
    let options = Options {
        ping_every: Duration::from_millis(50),
        deaf_after: Duration::from_secs(3),
        ..OPTIONS
    };
    let gateway = Prepared::resuming([Ok(Resumption::Open(second.opening("second")))]);
    let (mut near, mut line) = pair(&far, gateway, options, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    let flood = tokio::spawn(async move { while line.feed(output(0, "$ ")).await.is_ok() {} });
    let Event::Reconnecting { cause } = near.event().await else {
        panic!("not told")
    };
    assert!(cause.contains("has taken nothing"), "{cause}");
    flood.await.unwrap();
    // What is owed goes there, and then the session goes on.
    let (mut line, _) = second.accept().await;
    assert!(matches!(near.event().await, Event::Reconnected { .. }));
    line.send(output(1, "README")).await.unwrap();
    while acknowledged(&hear(&mut line).await) != Some(1) {}
    assert!(matches!(near.event().await, Event::Output(bytes) if bytes == "README"));
}
