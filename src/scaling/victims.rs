//! Which nodes go first.
//!
//! The order of the fields of [`Standing`] is the rule; a node that compares
//! less goes earlier.

use super::view::{Life, NodeView, PoolView};

/// What a node has for itself.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Standing<'a> {
    /// The leader's own node is the last.
    leader: bool,
    /// A boot that has hardly begun, then idle ones, then busy ones.
    work: Work,
    /// Of busy ones the one that is free soonest.
    free_in_ms: u64,
    /// Then the one that holds least.
    held: u32,
    /// Then the youngest: its disk holds least that is worth keeping.
    age_ms: u64,
    /// Then by name, so that the choice is always the same.
    name: &'a str,
}

/// What a node does, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Booting,
    Idle,
    Busy,
}

impl<'a> Standing<'a> {
    fn of(node: &NodeView<'a>) -> Self {
        let work = match node.life {
            Life::Booting => Work::Booting,
            _ if node.held == 0 => Work::Idle,
            _ => Work::Busy,
        };
        Self {
            leader: node.leader,
            work,
            free_in_ms: milliseconds(node.free_in_s),
            held: node.held,
            age_ms: milliseconds(node.age_s),
            name: node.name,
        }
    }
}

/// Nodes of `pool` that can be let go, the first to go first: those at work,
/// and boots so young that no worker can be up yet. Never the leader's.
pub fn candidates<'a>(pool: &PoolView<'a>) -> Vec<&'a str> {
    ranked(pool, |node| !node.leader && (node.life == Life::Working || is_young_boot(pool, node)))
}

/// Nodes of `pool` on their way out, the first to go first.
pub fn leaving<'a>(pool: &PoolView<'a>) -> Vec<&'a str> {
    ranked(pool, |node| matches!(node.life, Life::Draining | Life::Drained))
}

fn ranked<'a>(pool: &PoolView<'a>, which: impl Fn(&&NodeView<'a>) -> bool) -> Vec<&'a str> {
    let mut standings: Vec<Standing> = pool.nodes.iter().filter(which).map(Standing::of).collect();
    standings.sort_unstable();
    standings.into_iter().map(|standing| standing.name).collect()
}

/// Less than half of a boot old: it can be deleted without asking a worker.
pub fn is_young_boot(pool: &PoolView, node: &NodeView) -> bool {
    node.life == Life::Booting && node.age_s < pool.settings.boot.as_secs_f64() / 2.0
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates as meant")]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1e3) as u64
}
