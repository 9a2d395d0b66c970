//! Flights on their way through the CPU backend: their states.

use super::Cpu;
use crate::{
    compute::{BackendFault, Batch, Session, Window, run::Flights, state::FlightState},
    exposure::program::Program,
};

/// The states, and what they are states of.
pub(super) struct CpuSession<'a> {
    cpu: Cpu,
    program: &'a Program,
    flights: Flights<'a>,
    states: Vec<FlightState>,
}

impl<'a> CpuSession<'a> {
    pub(super) fn new(cpu: Cpu, program: &'a Program, flights: Flights<'a>) -> Self {
        let states = flights.fleet.iter().map(|_| FlightState::new(program)).collect();
        Self { cpu, program, flights, states }
    }
}

impl Session for CpuSession<'_> {
    fn advance(&mut self, window: &Window<'_>) -> Result<(), BackendFault> {
        let Flights { fleet, phases } = self.flights;
        self.cpu.advance(self.program, window, &mut Batch { fleet, phases, states: &mut self.states });
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Vec<FlightState>, BackendFault> {
        Ok(self.states)
    }
}
