//! What every election promises, as tests that run on each of them.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Leadership, Term};

/// Candidates of one election, and what happens to them.
#[async_trait]
pub trait World: Sync {
    /// A further candidate of this name.
    async fn stand(&self, name: &str) -> Arc<dyn Leadership>;
    /// Cuts a candidate off from what they share, or lets it through again.
    async fn cut(&self, candidate: usize, cut: bool);
    /// The longest that it takes until another leads.
    fn failover(&self) -> Duration;
}

/// Runs every promise, each in a world of its own.
///
/// # Panics
/// Where a promise is broken.
pub async fn holds<W: World>(make: impl AsyncFn() -> W) {
    one_of_many_leads(&make().await).await;
    giving_up_hands_over_at_once(&make().await).await;
    a_death_is_noticed(&make().await).await;
    who_is_cut_off_stops_before_another_starts(&make().await).await;
}

async fn one_of_many_leads(world: &impl World) {
    let candidates = [world.stand("one").await, world.stand("two").await, world.stand("three").await];
    let leader = elected(&candidates, world.failover()).await;
    let term = candidates[leader].leads();
    // It goes on: the same one, in the same term.
    let until = Instant::now() + world.failover();
    while Instant::now() < until {
        assert_eq!(leaders(&candidates), [leader]);
        assert_eq!(candidates[leader].leads(), term);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(candidates[leader].standing().borrow().term, term);
}

async fn giving_up_hands_over_at_once(world: &impl World) {
    let mut candidates = vec![world.stand("one").await, world.stand("two").await];
    let leader = elected(&candidates, world.failover()).await;
    candidates[leader].resign().await;
    assert_eq!(candidates[leader].leads(), None);
    assert_eq!(candidates[leader].standing().borrow().term, None);
    let resigned = candidates.swap_remove(leader);
    let next = elected(&candidates, world.failover()).await;
    assert!(candidates[next].leads().is_some());
    assert_eq!(resigned.leads(), None, "who gave up stands no more");
}

async fn a_death_is_noticed(world: &impl World) {
    let mut candidates = vec![world.stand("one").await, world.stand("two").await];
    let leader = elected(&candidates, world.failover()).await;
    drop(candidates.swap_remove(leader));
    elected(&candidates, world.failover()).await;
}

async fn who_is_cut_off_stops_before_another_starts(world: &impl World) {
    let candidates = [world.stand("one").await, world.stand("two").await];
    let first = elected(&candidates, world.failover()).await;
    let term = candidates[first].leads();
    world.cut(first, true).await;
    let started = Instant::now();
    // Looked at often: never both.
    while leaders(&candidates) != [1 - first] {
        assert!(leaders(&candidates).len() <= 1, "both lead");
        assert!(started.elapsed() < world.failover() * 2, "nobody took over");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.cut(first, false).await;
    let until = Instant::now() + world.failover();
    while Instant::now() < until {
        assert_eq!(leaders(&candidates), [1 - first], "who comes back follows");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    candidates[1 - first].resign().await;
    let again = async {
        while candidates[first].leads().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(world.failover(), again).await.expect("who came back leads in its turn");
    assert_ne!(candidates[first].leads(), term, "in a new term");
    assert!(candidates[first].leads() > Some(Term(0)));
}

/// Which candidates lead at this moment.
fn leaders(candidates: &[Arc<dyn Leadership>]) -> Vec<usize> {
    (0..candidates.len()).filter(|at| candidates[*at].leads().is_some()).collect()
}

/// Waits until one leads.
async fn elected(candidates: &[Arc<dyn Leadership>], within: Duration) -> usize {
    let started = Instant::now();
    loop {
        match leaders(candidates)[..] {
            [one] => return one,
            [] => assert!(started.elapsed() < within, "nobody leads within {within:?}"),
            ref many => panic!("{} lead at once", many.len()),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
