// SPDX-License-Identifier: MIT
//! Checks from a UDP socket that the program goes on using: what a peer has to be told is the external
//! address of that socket. Datagrams that are not for the library are not lost meanwhile.
use std::error::Error;
use std::net::UdpSocket;
use std::sync::{mpsc, Arc};

use natprobe::{NatResult, Probe};

fn check(servers: Vec<String>) -> Result<NatResult, Box<dyn Error>> {
    let socket = Arc::new(UdpSocket::bind("0.0.0.0:0")?);
    let (inbox, datagrams) = mpsc::channel();
    let mut probe = Probe::new()?;
    for server in servers {
        probe.add_server(&server)?;
    }
    probe.set_socket(&socket, move |datagram, sender| {
        // It has to return soon: the check waits for it.
        let _ = inbox.send((datagram.to_vec(), sender));
    })?;
    let result = probe.run()?;

    // The socket is the program's alone again. What came meanwhile comes first.
    for (datagram, sender) in datagrams.try_iter() {
        println!("{} bytes from {sender}", datagram.len());
    }
    println!("peers reach {} at:", socket.local_addr()?);
    Ok(result)
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
