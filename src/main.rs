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
            eprintln!("skydose: {}", message(&error));
            ExitCode::from(FAULT)
        }
    }
}

/// An error and its causes; many messages say their cause themselves.
fn message(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
        "" => cause,
        said if said.ends_with(&cause) => text,
        said => format!("{said}: {cause}"),
    })
}
