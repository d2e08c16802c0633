//! Ends of the session and of the task, and agents that do not speak.

use super::*;

#[tokio::test]
async fn the_end_is_told_even_when_the_socket_goes_with_it() {
    let far = Far::new().await;
    let options = Options {
        ping_every: Duration::from_millis(5),
        ..OPTIONS
    };
    let (mut near, mut line) = pair(&far, Arc::new(Prepared::default()), options, 1).await;
    line.send(output(0, "$ ")).await.unwrap();
    assert_eq!(acknowledged(&hear(&mut line).await), Some(0));
    // The driver waits for its reader, with all this unread before it, and can only write: to no one.
    line.feed(output(1, "bye")).await.unwrap();
    line.feed(closed("logged out")).await.unwrap();
    line.flush().await.unwrap();
    line.get_ref().set_zero_linger().unwrap();
    drop(line);
    // Not for luck: however this turns out, nothing may be lost; but within it some pings fail.
    tokio::time::sleep(Duration::from_millis(100)).await;
    expect_ready(&mut near).await;
    assert!(matches!(near.event().await, Event::Output(bytes) if bytes == "bye"));
    let last = near.event().await;
    assert!(
        matches!(&last, Event::Closed { words, torn: false } if words == "logged out"),
        "{last:?}"
    );
    assert!(timeout(PATIENCE, near.events.recv()).await.unwrap().is_none());
}

#[tokio::test]
async fn who_lets_go_of_the_channel_ends_the_task() {
    let far = Far::new().await;
    let (near, mut line) = pair(&far, Arc::new(Prepared::default()), OPTIONS, 64).await;
    let Near {
        events,
        writes,
        _urgent: urgent,
        task,
    } = near;
    drop((events, writes, urgent));
    timeout(PATIENCE, task).await.unwrap().unwrap();
    assert!(!matches!(
        timeout(PATIENCE, line.next()).await.unwrap(),
        Some(Ok(Frame::Binary(_)))
    ));
}

#[tokio::test]
async fn an_agent_that_never_speaks_is_not_waited_for_for_ever() {
    let far = Far::new().await;
    let options = Options {
        wonder_after: Duration::from_millis(20),
        silent_after: Duration::from_millis(80),
        ..OPTIONS
    };
    let (mut near, _line) = pair(&far, Arc::new(Prepared::default()), options, 64).await;
    assert!(matches!(near.event().await, Event::Waiting));
    assert!(matches!(
        near.event().await,
        Event::Failed(ChannelError::Silent(_))
    ));
}

#[tokio::test]
async fn an_agent_that_answers_no_more_is_told_again_and_again_until_it_does() {
    let far = Far::new().await;
    let options = Options {
        unanswered_after: Some(Duration::from_millis(40)),
        ..OPTIONS
    };
    let (mut near, mut line) = pair(&far, Arc::new(Prepared::default()), options, 64).await;
    line.send(output(0, "$ ")).await.unwrap();
    expect_ready(&mut near).await;
    near.write(b"is anybody there?").await;
    for times in 1..=3 {
        let Event::Unanswered(time) = near.event().await else {
            panic!("not told")
        };
        assert_eq!(time, Duration::from_millis(40) * times);
    }
    // Any word will do, and then there is nothing to wait for.
    let input = hear_input(&mut line).await;
    line.send(acknowledge(&input)).await.unwrap();
    line.send(output(1, "yes")).await.unwrap();
    let mut told = 3;
    let bytes = loop {
        match near.event().await {
            // On its way before the answer.
            Event::Unanswered(_) => told += 1,
            Event::Output(bytes) => break bytes,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(&bytes[..], b"yes");
    assert!(told < 10);
    assert!(
        timeout(Duration::from_millis(200), near.events.recv())
            .await
            .is_err()
    );
}
