//! The `skydose` command.

use std::process::ExitCode;

use clap::Parser as _;
use skydose::cli::Cli;

/// A fault of the call.
const FAULT: u8 = 2;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(ending) => ending.into(),
        Err(error) => {
            eprintln!("skydose: {error:#}");
            ExitCode::from(FAULT)
        }
    }
}
