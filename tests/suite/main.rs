//! The integration tests: one binary, a module a subject.

mod architecture;
mod broker;
mod chaos;
mod control;
mod leader;
mod messages;
mod nodes;
mod scaling;
mod science;
mod stores;
mod submitter;
mod worker;
