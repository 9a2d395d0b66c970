//! The CPU backend: it defines the right answer.
//!
//! Flights are independent and each is walked in the order of time, so the
//! figures do not depend on the number of threads or on how the field's times
//! were cut into windows. Lanes lie side by side in vector registers; the
//! kernel is compiled for several instruction sets and chosen at run time, and
//! all of them give the same bytes, because products and sums are fused
//! everywhere alike.

#![expect(clippy::needless_range_loop, reason = "lanes and samples are counted, as vector registers hold them")]

mod block;
mod gather;
mod kernel;
mod locate;
mod node;
pub(crate) mod path;
mod reduce;
mod sample;
mod session;
#[cfg(test)]
mod tests;
mod unpacked;
mod vector;
mod walker;

use rayon::prelude::*;

pub use sample::{Places, sample};

use self::{
    block::Share,
    gather::Slabs,
    kernel::{Instructions, Scratch, Shared},
    path::Steps,
};
use super::{Backend, BackendFault, Batch, Description, Health, Session, Window, run::Flights};
use crate::{exposure::program::Program, field::slab::padded};

/// Shares that a thread takes, at least, where there are as many flights.
const SHARES: usize = 8;

/// Flights of a share.
const MOST_FLIGHTS: usize = 32;

/// All flights on the current rayon pool.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    instructions: Instructions,
}

impl Default for Cpu {
    fn default() -> Self {
        Self::new()
    }
}

impl Cpu {
    /// For the machine at hand.
    #[must_use]
    pub fn new() -> Self {
        Self { instructions: Instructions::detect() }
    }
}

impl Backend for Cpu {
    fn description(&self) -> Description {
        Description { backend: "cpu", device: std::env::consts::ARCH.to_owned(), precision: "float32" }
    }

    fn name(&self) -> String {
        format!("cpu ({}, {} threads)", self.instructions.name(), rayon::current_num_threads())
    }

    fn begin<'a>(&'a self, program: &'a Program, flights: Flights<'a>) -> Result<Box<dyn Session + 'a>, BackendFault> {
        Ok(Box::new(session::CpuSession::new(*self, program, flights)))
    }

    fn health(&self) -> Health {
        Health::Well
    }
}

impl Cpu {
    /// Takes the flights' samples that lie in `window`, as
    /// [`Session::advance`] does.
    pub fn advance(self, program: &Program, window: &Window<'_>, batch: &mut Batch<'_>) {
        match padded(program.channels()) {
            Some(1) => self.walk::<1>(program, window, batch),
            Some(2) => self.walk::<2>(program, window, batch),
            Some(4) => self.walk::<4>(program, window, batch),
            Some(8) => self.walk::<8>(program, window, batch),
            _ => self.walk::<16>(program, window, batch),
        }
    }

    /// All flights that have samples in the window, `S` channels a point.
    fn walk<const S: usize>(self, program: &Program, window: &Window<'_>, batch: &mut Batch<'_>) {
        let shared = Shared {
            instructions: self.instructions,
            window,
            slabs: Slabs::of(window),
            steps: Steps::new(program.integration, window.grid, window.times_s),
            has_missing: window.slabs.iter().any(|slab| slab.has_missing()),
        };
        let (fleet, phases) = (batch.fleet, batch.phases);
        let scratch = || Scratch::<S>::new(program);
        // Shares small enough that no thread waits for another at the end.
        let flights = (batch.states.len() / (rayon::current_num_threads() * SHARES)).clamp(1, MOST_FLIGHTS);
        batch.states.par_chunks_mut(flights).enumerate().for_each_init(scratch, |scratch, (i, states)| {
            kernel::run::<S>(&shared, scratch, Share { fleet, phases, first: i * flights, states });
        });
    }
}
