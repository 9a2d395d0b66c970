//! What is computed for a job: what it asks, compiled once against its data
//! set.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::intake::Stop;
use crate::{
    exposure::request::Pass,
    field::{
        FieldError,
        catalogue::{Catalogue, Entry},
    },
    grid::VerticalRule,
    job::{Id, Terms, settle::End},
};

/// Programs that are remembered at most.
const REMEMBERED: usize = 1_000;

/// What a job asks, on the data set that it is asked of.
#[derive(Clone)]
pub(super) struct Program {
    /// Of the data set.
    pub name: Arc<str>,
    pub entry: Arc<Entry>,
    pub passes: Arc<[Pass]>,
    /// What each pass reads, in one word for all that read the same.
    pub fields: Arc<[Arc<str>]>,
    pub vertical: VerticalRule,
    /// Of the largest field's slab, when it is not cut.
    pub slab_bytes: usize,
}

impl Program {
    fn compile(terms: &Terms, entry: Arc<Entry>) -> Result<Self, FieldError> {
        let passes = terms.request.passes(&entry.dataset)?;
        let mut slab_bytes = 0;
        for pass in &passes {
            slab_bytes = slab_bytes.max(entry.dataset.field(&pass.channels, terms.vertical, None)?.slab_bytes());
        }
        let fields = passes.iter().map(|pass| Self::field_name(&entry, pass)).collect();
        let name = terms.dataset.as_str().into();
        Ok(Self { name, entry, passes: passes.into(), fields, vertical: terms.vertical, slab_bytes })
    }

    /// What a pass reads of a data set.
    pub(super) fn field_name(entry: &Entry, pass: &Pass) -> Arc<str> {
        format!("{} {:?}", entry.version, pass.channels).into()
    }
}

/// Programs of the jobs that came by.
pub(super) struct Programs {
    catalogue: Arc<Catalogue>,
    known: Mutex<HashMap<(Id, [u8; 32]), Program>>,
}

impl Programs {
    pub(super) fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { catalogue, known: Mutex::default() }
    }

    /// What `terms` ask, compiled.
    ///
    /// # Errors
    /// The job asks for what is not there, or its data set cannot be had now.
    pub(super) async fn of(&self, terms: &Terms) -> Result<Program, Stop> {
        let asked = (terms.dataset.clone(), terms.program());
        if let Some(program) = self.known().get(&asked) {
            return Ok(program.clone());
        }
        let entry = self.catalogue.open(&terms.dataset).await.map_err(|error| {
            if error.is_retryable() { Stop::Store(error.to_string()) } else { End::Invalid(error.to_string()).into() }
        })?;
        let program = Program::compile(terms, entry).map_err(|error| End::Invalid(error.to_string()))?;
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(asked, program.clone());
        Ok(program)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<(Id, [u8; 32]), Program>> {
        // Whole entries go in and out: a panic leaves none half written.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
