//! The configuration as it is written: the settings of every module, each
//! under the module's name.

use serde::{Deserialize, Serialize};

use crate::{
    control,
    field::catalogue,
    leader, nodes,
    queue::{amqp, management},
    scaling, store, submitter, telemetry, worker,
};

/// The whole file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Raw {
    /// The log.
    pub log: telemetry::log::Settings,
    /// Traces.
    pub traces: telemetry::trace::Settings,
    /// The admin server.
    pub admin: telemetry::admin::Settings,
    /// The broker of jobs and results.
    pub broker: amqp::Settings,
    /// Its management API, which tells how full the queues are.
    pub management: management::Settings,
    /// The data sets that jobs may name.
    pub catalogue: catalogue::Settings,
    /// The store of results.
    pub store: store::Settings,
    /// The worker.
    pub worker: worker::Settings,
    /// What sends flights as jobs.
    pub submitter: submitter::Settings,
    /// How many nodes there should be, of which pools.
    pub scaling: scaling::Settings,
    /// Where nodes come from. Without it nothing is scaled.
    pub nodes: Option<nodes::Settings>,
    /// Who leads.
    pub leader: leader::Settings,
    /// The leader's loop.
    pub control: control::Settings,
    /// Azure's notices that this machine goes away, upon which the worker
    /// drains. Without it they are not read.
    pub azure_events: Option<nodes::azure_events::Settings>,
}
