//! Flights through fields that stay in memory from batch to batch.

use std::{collections::BTreeSet, sync::Arc};

use rayon::prelude::*;
use tokio::time::Instant;

use super::{
    programs::Program,
    slabs::{Key, Shelf},
    task::Work,
};
use crate::{
    compute::{
        Backend,
        run::{Flights, Passed, Run, Slabs, Spent, first_times},
    },
    exposure::request::Pass,
    field::{FieldError, catalogue::Catalogue, dataset::Field, slab::Slab},
    telemetry::events::worker as events,
    trajectory::phase,
};

/// Slabs that a batch needs at a time: two of its window and the next; and
/// two of the batch after it.
const SLABS: usize = 5;

/// What computes batches.
pub(super) struct Engine {
    backend: Arc<dyn Backend>,
    shelf: Shelf,
    catalogue: Arc<Catalogue>,
    field_bytes: u64,
}

/// Why a batch has no figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// What is asked cannot be: another try would end the same way.
    Invalid(String),
    /// Another try may do better.
    Failed(String),
}

impl Fault {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Invalid(text) | Self::Failed(text) => text,
        }
    }
}

impl From<FieldError> for Fault {
    fn from(error: FieldError) -> Self {
        match &error {
            FieldError::Dataset(_) | FieldError::Unsupported { .. } => Self::Invalid(error.to_string()),
            // A disk that fails, a file that is being replaced.
            FieldError::Io { .. } | FieldError::Corrupt { .. } | FieldError::Unknown { .. } => {
                Self::Failed(error.to_string())
            }
        }
    }
}

impl Engine {
    /// Fields take at most `field_bytes`, with what `catalogue` holds of them.
    pub(super) fn new(backend: Arc<dyn Backend>, catalogue: Arc<Catalogue>, field_bytes: u64) -> Self {
        Self { backend, shelf: Shelf::new(0), catalogue, field_bytes }
    }

    /// What archives that were unpacked leave for slabs \[bytes\].
    fn slab_bytes(&self) -> usize {
        let left = self.field_bytes.saturating_sub(self.catalogue.unpacked_bytes());
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// Who computed what `spent` tells of.
    pub(super) fn by(&self, spent: &Spent) -> String {
        spent.computed.by(&self.backend.description().to_string())
    }

    /// Bytes of fields in memory.
    pub(super) fn field_bytes(&self) -> usize {
        let unpacked = usize::try_from(self.catalogue.unpacked_bytes()).unwrap_or(usize::MAX);
        self.shelf.bytes().saturating_add(unpacked)
    }

    /// Data sets of which fields are in memory.
    pub(super) fn datasets(&self) -> BTreeSet<String> {
        self.shelf.datasets()
    }

    /// Does what can be done before the backend is free: labels the flights,
    /// and has the first times of the field in memory.
    pub(super) fn prepare(&self, mut work: Work) -> Work {
        // Archives may have been unpacked since the last batch.
        self.shelf.limit(self.slab_bytes());
        let indices: Vec<usize> = (0..work.fleet.len()).collect();
        work.phases = indices
            .par_iter()
            .map(|&index| work.fleet.get(index).map_or_else(Vec::new, |flight| phase::label(&flight)))
            .collect();
        if let Some(kept) = work.program().and_then(|program| self.kept(program)) {
            // What cannot be read is met again, and told of, in its place.
            let _ = kept.warm(&work);
        }
        work
    }

    /// Computes.
    ///
    /// # Errors
    /// Why there are no figures for this batch.
    pub(super) fn run(
        &self,
        work: &Work,
        progress: &(dyn Fn(f64) + Sync),
        spent: &mut Spent,
    ) -> Result<Vec<Passed>, Fault> {
        let Some(program) = work.program() else { return Ok(Vec::new()) };
        let kept = self.kept(program);
        let run = Run {
            dataset: &program.entry.dataset,
            backend: self.backend.as_ref(),
            vertical: program.vertical,
            field_bytes: self.slab_bytes(),
            kept: kept.as_ref().map(|kept| kept as &dyn Slabs),
            progress,
        };
        let flights = Flights { fleet: &work.fleet, phases: &work.phases };
        Ok(run.run(&program.passes, &flights, spent)?)
    }

    /// The program's place on the shelf; none where whole fields are too
    /// large for it, and each batch reads the part that it needs.
    fn kept<'a>(&'a self, program: &'a Program) -> Option<Kept<'a>> {
        let fits = program.slab_bytes.saturating_mul(SLABS) <= self.slab_bytes();
        fits.then_some(Kept { shelf: &self.shelf, program })
    }
}

/// Slabs of one program's fields, on the shelf.
struct Kept<'a> {
    shelf: &'a Shelf,
    program: &'a Program,
}

impl Kept<'_> {
    fn key(&self, pass: &Pass, time: usize, member: usize) -> Key {
        let of_program = self.program.passes.iter().position(|own| std::ptr::eq(own, pass));
        let field = of_program
            .map_or_else(|| Program::field_name(&self.program.entry, pass), |at| self.program.fields[at].clone());
        Key { dataset: self.program.name.clone(), field, time, member }
    }

    /// Reads the first times that the flights touch.
    fn warm(&self, work: &Work) -> Result<(), FieldError> {
        for pass in self.program.passes.iter() {
            let field = self.program.entry.dataset.field(&pass.channels, self.program.vertical, None)?;
            for time in first_times(&work.fleet, &field).into_iter().flatten() {
                self.get(pass, &field, time, 0)?;
            }
        }
        Ok(())
    }
}

impl Slabs for Kept<'_> {
    fn held(&self, pass: &Pass, time: usize, member: usize) -> Option<Arc<Slab>> {
        self.shelf.held(&self.key(pass, time, member))
    }

    fn get(&self, pass: &Pass, field: &Field<'_>, time: usize, member: usize) -> Result<Arc<Slab>, FieldError> {
        let bytes = field.slab_bytes();
        self.shelf.get(&self.key(pass, time, member), bytes, || {
            let started = Instant::now();
            let slab = field.load(time, member)?;
            events::FieldLoaded { dataset: &self.program.name, bytes, took: started.elapsed() }.emit();
            Ok(slab)
        })
    }
}
