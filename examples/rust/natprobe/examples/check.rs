// SPDX-License-Identifier: MIT
//! The shortest useful program: one call, with public servers, or with those given as arguments.
use natprobe::{check_nat, Error, NatResult, Probe};

fn check(servers: Vec<String>) -> Result<NatResult, Error> {
    if servers.is_empty() {
        return check_nat(None, 0);
    }
    let mut probe = Probe::new()?;
    for server in servers {
        probe.add_server(&server)?;
    }
    probe.run()
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
