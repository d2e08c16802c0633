//! Many scopes, a few of them at a time.

use std::future::Future;

use futures_util::StreamExt as _;
use futures_util::stream;

/// So many are asked side by side.
const AT_A_TIME: usize = 8;

/// Asks each, and gives the answers in the same order. A slow one holds up none but itself, and one that fails has
/// that for its answer.
pub async fn side_by_side<T, A, Asking>(
    each: impl IntoIterator<Item = T>,
    ask: impl Fn(T) -> Asking,
) -> Vec<A>
where
    Asking: Future<Output = A>,
{
    let ask = &ask;
    let mut answers: Vec<(usize, A)> = stream::iter(each.into_iter().enumerate())
        .map(|(place, one)| async move { (place, ask(one).await) })
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn a_few_at_a_time_in_order_and_none_waits_for_a_slow_one() {
        const ALL: usize = 40;
        let (now, most, done) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let others_are_done = Notify::new();
        let answers = side_by_side(0..ALL, |number| {
            let (now, most, done, others_are_done) = (&now, &most, &done, &others_are_done);
            async move {
                now.set(now.get() + 1);
                most.set(most.get().max(now.get()));
                match number {
                    0 => others_are_done.notified().await,
                    _ => tokio::task::yield_now().await,
                }
                now.set(now.get() - 1);
                done.set(done.get() + 1);
                if done.get() == ALL - 1 {
                    others_are_done.notify_one();
                }
                if number % 3 == 0 { Err(number) } else { Ok(number) }
            }
        })
        .await;
        assert_eq!(most.get(), AT_A_TIME);
        let expected = (0..ALL).map(|number| if number % 3 == 0 { Err(number) } else { Ok(number) });
        assert_eq!(answers, expected.collect::<Vec<_>>());
    }
}
