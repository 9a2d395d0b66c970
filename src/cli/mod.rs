//! The command line: one file a subcommand.

mod args;
mod asked;
mod cancel;
mod check;
mod collect;
mod compute;
mod control;
mod dead_letters;
mod decide;
mod demo;
mod devices;
mod health;
mod history;
mod inspect;
mod prepare;
mod sample;
mod schema;
mod simulate;
mod status;
mod submit;
mod topology;
mod worker;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;

use clap::{Parser, Subcommand};

/// What aircraft fly through: exposures of flights to dust, ash and gases.
#[derive(Debug, Parser)]
#[command(name = "skydose", version, about, max_term_width = 100)]
pub struct Cli {
    /// Say more: where the time went (-v), what the files had to tell (-vv).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// A subcommand.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compute exposures of flights in fields.
    Compute(compute::Compute),
    /// Make a field and flights, compute, and show the way.
    Demo(demo::Demo),
    /// Write every waypoint with the field's values at it.
    Sample(sample::Sample),
    /// Say which GPUs there are and whether they compute rightly.
    Devices(devices::Devices),
    /// Say what is in field and flights files, and what is wrong with them.
    Inspect(inspect::Inspect),
    /// Write fields in the form that loads fastest.
    Prepare(prepare::Prepare),
    /// Decide on a sample of the queue and its nodes, and explain.
    Decide(decide::Decide),
    /// Try scaling policies on past or made-up demand, in virtual time.
    Simulate(simulate::Simulate),
    /// Send flights to the workers as jobs.
    Submit(submit::Submit),
    /// Put the results of a submission into one file.
    Collect(collect::Collect),
    /// Tell the workers that a submission is not needed any more.
    Cancel(cancel::Cancel),
    /// Set up, check or print what the broker must have.
    Topology(topology::Topology),
    /// List, show, redrive or discard jobs that were given up.
    DeadLetters(dead_letters::DeadLetters),
    /// Say every fault of a configuration, and try what it names.
    Check(check::Check),
    /// Print what every message looks like, as JSON Schema.
    Schema,
    /// Say how full the queues are and what the workers do.
    Status(status::Status),
    /// Ask the worker or control beside this whether it is alive, or ready.
    Health(health::Health),
    /// Compute jobs from a queue, until told to stop.
    Worker(worker::Worker),
    /// Scale the nodes of a cluster from outside of its workers; pause that,
    /// or let it go on.
    Control(control::Control),
}

/// How a command ended, when it ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything was answered.
    Whole,
    /// Some flights were rejected, and are named.
    Rejects,
    /// The device is not to be trusted; another process may try.
    Quarantined,
    /// Some jobs of a submission have no answer.
    Incomplete,
    /// The process that was asked is not well.
    Unwell,
}

/// Prints on standard output.
fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // The reader, such as `head`, has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("writing to standard output"),
    }
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// A fault of the call: its options or its files.
    pub fn run(self) -> anyhow::Result<Ending> {
        match self.command {
            Command::Compute(compute) => compute.run(self.verbose),
            Command::Demo(demo) => demo.run(),
            Command::Sample(sample) => sample.run(self.verbose),
            Command::Devices(devices) => devices.run(),
            Command::Inspect(inspect) => inspect.run(),
            Command::Prepare(prepare) => prepare.run(self.verbose),
            Command::Decide(decide) => decide.run(),
            Command::Simulate(simulate) => simulate.run(),
            Command::Submit(submit) => submit.run(),
            Command::Collect(collect) => collect.run(),
            Command::Cancel(cancel) => cancel.run(),
            Command::Topology(topology) => topology.run(),
            Command::DeadLetters(dead_letters) => dead_letters.run(),
            Command::Check(check) => check.run(),
            Command::Schema => schema::print().map(|()| Ending::Whole),
            Command::Status(status) => status.run(),
            Command::Health(health) => health.run(),
            Command::Worker(worker) => worker.run(),
            Command::Control(control) => control.run(),
        }
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(match ending {
            Ending::Whole => 0,
            Ending::Unwell => 1,
            Ending::Rejects => 3,
            Ending::Quarantined => 4,
            Ending::Incomplete => 5,
        })
    }
}
