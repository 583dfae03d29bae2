// SPDX-License-Identifier: MIT
//! Tells what happens while a check goes on, with public servers, or with those given as arguments.
use natprobe::{Error, Event, EventKind, NatResult, Probe};

fn show(event: &Event) {
    let ms = event.time.as_micros() as f64 / 1000.0;
    match &event.kind {
        EventKind::Sent {
            purpose,
            request,
            copy,
            to,
            ..
        } => {
            println!("{ms:8.1} ms  {purpose}: asked {to} for test {request}, copy {copy}");
        }
        EventKind::Answered {
            purpose,
            from,
            external,
            ..
        } => {
            println!("{ms:8.1} ms  {purpose}: {from} answered, and sees {external}");
        }
        EventKind::Refused {
            purpose,
            from,
            code,
            ..
        } => {
            println!("{ms:8.1} ms  {purpose}: {from} answered with error {code}");
        }
        EventKind::Mapping { behaviour, .. } => println!("{ms:8.1} ms  the mapping: {behaviour}"),
        EventKind::Filtering {
            behaviour, server, ..
        } => {
            println!("{ms:8.1} ms  the filtering, by {server}: {behaviour}");
        }
        EventKind::Finished { .. } => println!("{ms:8.1} ms  over"),
        // Newer versions may tell of more.
        other => println!("{ms:8.1} ms  {other:?}"),
    }
}

fn check(servers: Vec<String>) -> Result<NatResult, Error> {
    let mut probe = Probe::new()?;
    for server in servers {
        probe.add_server(&server)?;
    }
    probe.set_events(show)?.run()
}

fn main() {
    match check(std::env::args().skip(1).collect()) {
        Ok(result) => println!("{result}"),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
