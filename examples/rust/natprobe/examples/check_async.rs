// SPDX-License-Identifier: MIT
//! Asks each server given as an argument by itself, all at once, and nobody for more than 5 seconds;
//! without arguments, the public servers over IPv4 and over IPv6.
use std::process::ExitCode;
use std::time::Duration;

use natprobe::{Error, Family, NatResult, Probe};
use tokio::{runtime, time};

async fn check(server: Option<String>, family: Family) -> Result<NatResult, Error> {
    let mut probe = Probe::new()?;
    probe.set_family(family)?;
    if let Some(server) = server {
        probe.add_server(&server)?;
    }
    probe.run_async().await
}

async fn check_all(servers: impl Iterator<Item = String>) -> bool {
    let mut wanted: Vec<_> = servers.map(|name| (Some(name), Family::Any)).collect();
    if wanted.is_empty() {
        wanted = vec![(None, Family::Ipv4), (None, Family::Ipv6)];
    }
    let limit = Duration::from_secs(5);
    let start = |(server, family)| tokio::spawn(time::timeout(limit, check(server, family)));
    let checks: Vec<_> = wanted.into_iter().map(start).collect();
    let mut any_result = false;
    for check in checks {
        match check.await.expect("no check panics") {
            Ok(Ok(result)) => {
                any_result = true;
                println!("{result}");
            }
            Ok(Err(error)) => println!("{error}"),
            Err(_) => println!("given up after {limit:?}"),
        }
    }
    any_result
}

fn main() -> std::io::Result<ExitCode> {
    let mut builder = runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build()?;
    let any_result = runtime.block_on(check_all(std::env::args().skip(1)));
    Ok(ExitCode::from(u8::from(!any_result)))
}
