//! The sandbox from outside.

mod client;
mod doors;
mod fleet;
mod sessions;

use crate::{Sandbox, Scenario};

async fn demo() -> Sandbox {
    Sandbox::start(Scenario::demo()).await.unwrap()
}
