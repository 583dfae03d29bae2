// SPDX-License-Identifier: MIT
//! Exercises the Rust binding as an application would: `natprobe-driver MODE [OPTION]...`. Prints
//! one JSON object, as `natprobe --json` does. Exit status 0 with a result, 1 without, 2 for wrong
//! usage, 3 when the binding has misbehaved.

mod bad_input;
mod layout;
mod modes;
mod options;
mod report;

use std::process::ExitCode;

use options::Options;

/// What has ended a mode.
pub enum Ending {
    Result,
    NoResult(String),
    Misbehaved(String),
}

pub type Outcome = Result<natprobe::NatResult, natprobe::Error>;

fn run(options: &Options) -> Result<Ending, String> {
    let outcome = match options.mode.as_str() {
        "blocking" => modes::blocking(options),
        "async" => modes::in_event_loop(options),
        "socket" => modes::socket(options),
        "cancel" => modes::cancel(options),
        "default" => modes::default(options),
        "bad-input" => return Ok(bad_input::run()),
        "layout" => return Ok(layout::run()),
        mode => return Err(format!("no such mode: {mode}")),
    };
    Ok(match outcome {
        Ok(outcome) => report::print(&outcome),
        Err(problem) => Ending::Misbehaved(problem),
    })
}

fn main() -> ExitCode {
    let (code, message) = match Options::parse().and_then(|options| run(&options)) {
        Ok(Ending::Result) => return ExitCode::SUCCESS,
        Ok(Ending::NoResult(reason)) => (1, reason),
        Err(usage) => (2, usage),
        Ok(Ending::Misbehaved(problem)) => (3, problem),
    };
    eprintln!("natprobe-driver: {message}");
    ExitCode::from(code)
}
