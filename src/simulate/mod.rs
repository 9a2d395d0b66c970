//! Scaling in virtual time: a queue, nodes that boot and fail, and workers,
//! around the same [`decide`](crate::scaling::decide) that production runs.
//!
//! ```text
//! Scenario ─┬─ World ── sample ── decide ── carry out ─┐
//!           │    └──────────────── 10 s ───────────────┘
//!           └─ Runs ─┬─ table (Markdown, CSV)
//!                    └─ picture (SVG)
//! ```
//!
//! | part | file |
//! |---|---|
//! | what happens: arrivals, boots, quotas | `scenario.rs`, `trace.rs` |
//! | the queue, the nodes, the workers | `world.rs` |
//! | who decides | `contenders.rs` |
//! | what a run came to | `figures.rs` |
//! | the least anyone could have paid | `clairvoyant.rs` |
//! | what people see | `table.rs`, `picture.rs` |

mod clairvoyant;
mod contenders;
mod figures;
mod picture;
mod sampler;
mod scenario;
mod table;
#[cfg(test)]
mod tests;
mod trace;
mod world;

pub use contenders::CONTENDERS;
pub use figures::{Figures, Moment};
pub use picture::picture;
pub use scenario::{SCENARIOS, Scenario};
pub use table::{aims, csv, markdown};
pub use trace::read as read_trace;

use crate::scaling::Settings;

/// Seconds between two looks at the world.
const TICK_S: f64 = 10.0;

/// A job that arrives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrival {
    /// Seconds since the start.
    pub at_s: f64,
    /// Its work, against the mean of all.
    pub size: f64,
}

/// A contender's run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Who, one of [`CONTENDERS`].
    pub contender: String,
    /// What it came to.
    pub figures: Figures,
    /// How it went, tick by tick.
    pub moments: Vec<Moment>,
}

/// What cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// No such scenario.
    #[error("scenario {name:?} is not known, expected one of {known}")]
    Unknown {
        /// As given.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A scenario's text.
    #[error("scenario {name}: {what}")]
    Scenario {
        /// Name or file.
        name: String,
        /// What is wrong, and what was expected.
        what: String,
    },
    /// A trace's text.
    #[error("trace {name}, line {line}: {what}")]
    Trace {
        /// File.
        name: String,
        /// From 1.
        line: u64,
        /// What is wrong, and what was expected.
        what: String,
    },
    /// No such contender.
    #[error("policy {name:?} is not known, expected one of {known}")]
    Contender {
        /// As given.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A picture.
    #[error("the picture could not be drawn: {0}")]
    Picture(String),
}

/// Runs `arrivals` through `scenario` as `contender` decides under `settings`.
///
/// # Errors
/// [`SimulationError::Contender`] where nobody has that name.
pub fn run(
    scenario: &Scenario,
    settings: &Settings,
    arrivals: &[Arrival],
    contender: &str,
) -> Result<Run, SimulationError> {
    let mut decides = contenders::contender(contender, settings).ok_or_else(|| {
        let known: Vec<&str> = CONTENDERS.iter().map(|(name, _)| *name).collect();
        SimulationError::Contender { name: contender.to_owned(), known: known.join(", ") }
    })?;
    let mut world = world::World::new(scenario, &settings.pools, arrivals);
    for (index, pool) in settings.pools.iter().enumerate() {
        world.start_with(index, pool.minimum);
    }
    let mut moments = vec![Moment::of(&world)];
    while world.now < scenario.lasts.as_secs_f64() {
        decides.step(&mut world);
        world.run_until(world.now + TICK_S);
        moments.push(Moment::of(&world));
    }
    let figures = Figures::of(&world, &settings.pools, &moments);
    Ok(Run { contender: contender.to_owned(), figures, moments })
}

impl Moment {
    fn of(world: &world::World) -> Self {
        let existing = || world.nodes.iter().filter(|node| node.life != world::Life::Gone);
        let held: usize = existing().map(world::Node::held).sum();
        Self {
            at_s: world.now,
            backlog: world.queue.len() + held,
            wanted: world.pools.iter().map(|pool| pool.wanted).sum(),
            up: u32::try_from(existing().filter(|node| node.is_up()).count()).unwrap_or(u32::MAX),
            oldest_s: world.oldest_age_s().unwrap_or(0.0),
        }
    }
}
