//! Blocks of samples on their way to the kernel: filled and located one ahead
//! of their turn, so that memory is asked for their cells in time.

use super::{
    gather::Cells,
    kernel::Shared,
    locate::Locator,
    path::{BLOCK, Labelled, Points},
};
use crate::{
    compute::state::{Cursor, FlightState},
    trajectory::{Fleet, phase::Phase},
};

/// Some samples of one flight, and where they lie in the field.
pub(super) struct Block {
    pub points: Points,
    pub cells: Cells,
    /// Which samples lie inside the field.
    pub inside: [bool; BLOCK],
    /// Whether all of them do.
    pub all_inside: bool,
    /// Where the flight goes on after them.
    pub cursor: Cursor,
}

/// Consecutive flights that one thread takes at a time.
pub(super) struct Share<'a> {
    pub fleet: &'a Fleet,
    pub phases: &'a [Vec<Phase>],
    /// The first of the flights in the fleet.
    pub first: usize,
    /// One a flight.
    pub states: &'a mut [FlightState],
}

/// The blocks of a share's flights through one window, flight after flight.
pub(super) struct Supply<'a, 'b> {
    shared: &'a Shared<'b>,
    fleet: &'a Fleet,
    phases: &'a [Vec<Phase>],
    first: usize,
    locator: Locator<'b>,
    /// The flights that are due, and how far they have come.
    due: &'a mut Vec<(usize, Cursor)>,
    /// Which of them is next.
    at: usize,
}

impl Block {
    pub(super) fn new() -> Self {
        Self {
            points: Points::new(),
            cells: Cells::new(),
            inside: [false; BLOCK],
            all_inside: false,
            cursor: Cursor::default(),
        }
    }
}

impl<'a, 'b> Supply<'a, 'b> {
    /// `due` is memory to be used again.
    pub(super) fn new(shared: &'a Shared<'b>, share: &Share<'a>, due: &'a mut Vec<(usize, Cursor)>) -> Self {
        let (fleet, phases, first) = (share.fleet, share.phases, share.first);
        let end_s = shared.window.end_s();
        due.clear();
        for (i, state) in share.states.iter().enumerate() {
            if fleet.get(first + i).is_some_and(|flight| state.is_due(&flight, end_s)) {
                due.push((i, state.cursor));
            }
        }
        Self { shared, fleet, phases, first, locator: Locator::new(shared.window), due, at: 0 }
    }

    /// Takes the next samples, and tells which of the share's flights they are
    /// of; `None` where none are left.
    #[inline(always)]
    pub(super) fn next(&mut self, block: &mut Block) -> Option<usize> {
        let end_s = self.shared.window.end_s();
        while let Some((flight, cursor)) = self.due.get_mut(self.at) {
            let index = self.first + *flight;
            if let Some(flight) = self.fleet.get(index) {
                let path = Labelled { flight, phases: &self.phases[index] };
                block.points.fill(&path, &self.shared.steps, cursor, end_s);
            }
            if block.points.len > 0 {
                block.cursor = *cursor;
                block.all_inside = self.locator.locate(&block.points, &mut block.cells, &mut block.inside);
                return Some(*flight);
            }
            self.at += 1;
        }
        None
    }

    /// How many waypoints a flight of the share has.
    pub(super) fn waypoints(&self, flight: usize) -> usize {
        self.fleet.get(self.first + flight).map_or(0, |flight| flight.len())
    }
}
