// SPDX-License-Identifier: MIT
//! A STUN server on loopback addresses, and other things that the tests share.
#![allow(dead_code)] // no test uses all of it

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use natprobe::Probe;

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_RESPONSE: u16 = 0x0101;
const CHANGE_REQUEST: u16 = 0x0003;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const OTHER_ADDRESS: u16 = 0x802c;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const CHANGE_PORT: u8 = 0x02;
const CHANGE_IP: u8 = 0x04;

/// A probe that asks this server alone.
pub fn probe_of(server: &str) -> Probe {
    let mut probe = Probe::new().unwrap();
    probe.add_server(server).unwrap();
    probe
}

/// Whether the child finds everything as it should.
pub fn in_a_child(work: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child does little, and ends without running what the parent is to run at its end.
    unsafe {
        match libc::fork() {
            0 => libc::_exit(i32::from(
                !catch_unwind(AssertUnwindSafe(work)).unwrap_or(false),
            )),
            child => {
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &mut status, 0), child);
                libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
            }
        }
    }
}

/// Runs a future on this thread.
pub fn on_one_thread<T>(future: impl std::future::Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// A server of RFC 5780, two addresses with two ports each, that answers as it should until it is
/// dropped.
pub struct Server {
    sockets: Arc<[UdpSocket; 4]>,
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Clone, Copy)]
struct Manner {
    /// The first so many of its sockets answer.
    answering: usize,
    /// The address that it reports instead of the true one.
    external: Option<IpAddr>,
}

impl Server {
    pub fn start() -> Self {
        Self::start_as(Manner {
            answering: 4,
            external: None,
        })
    }

    /// A server from which no more than the external address is learnt: it sees all behind a NAT, and
    /// the second address that it names is dead.
    pub fn start_half_dead() -> Self {
        Self::start_as(Manner {
            answering: 1,
            external: Some(IpAddr::from([198, 51, 100, 6])),
        })
    }

    fn start_as(manner: Manner) -> Self {
        let sockets = Arc::new(
            (0..20)
                .find_map(|_| bind_all().ok())
                .expect("ports are free"),
        );
        let stopping = Arc::new(AtomicBool::new(false));
        let threads = (0..manner.answering)
            .map(|own| {
                let (sockets, stopping) = (Arc::clone(&sockets), Arc::clone(&stopping));
                thread::spawn(move || serve(&sockets, own, manner, &stopping))
            })
            .collect();
        Self {
            sockets,
            stopping,
            threads,
        }
    }

    pub fn addr(&self) -> SocketAddr {
        self.sockets[0].local_addr().unwrap()
    }

    /// As `Probe::add_server` wants it.
    pub fn name(&self) -> String {
        self.addr().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        for socket in &*self.sockets {
            // An empty datagram wakes the thread.
            let _ = socket.send_to(&[], socket.local_addr().unwrap());
        }
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

/// The sockets A:P, A:Q, B:P, B:Q: bit 0 of the index is the port, bit 1 the address.
fn bind_all() -> io::Result<[UdpSocket; 4]> {
    let (a, b) = (Ipv4Addr::new(127, 0, 1, 1), Ipv4Addr::new(127, 0, 1, 2));
    let a_p = UdpSocket::bind((a, 0))?;
    let a_q = UdpSocket::bind((a, 0))?;
    let (p, q) = (a_p.local_addr()?.port(), a_q.local_addr()?.port());
    // Ports to which the library rightly refuses to be sent.
    if [32414, 37810, 47808].contains(&q) {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    Ok([a_p, a_q, UdpSocket::bind((b, p))?, UdpSocket::bind((b, q))?])
}

fn serve(sockets: &[UdpSocket; 4], own: usize, manner: Manner, stopping: &AtomicBool) {
    let mut room = [0; 2048];
    let other = sockets[own ^ 3].local_addr().unwrap();
    while let Ok((size, from)) = sockets[own].recv_from(&mut room) {
        if stopping.load(Ordering::SeqCst) {
            return;
        }
        let request = &room[..size];
        if size >= 20 && u16::from_be_bytes([request[0], request[1]]) == BINDING_REQUEST {
            let wanted = own ^ usize::from(changes(&request[20..]));
            if wanted < manner.answering {
                let mut seen = from;
                seen.set_ip(manner.external.unwrap_or(from.ip()));
                let _ = sockets[wanted].send_to(&response(&request[4..20], seen, other), from);
            }
        }
    }
}

/// What CHANGE-REQUEST asks for, as bits of the index of a socket.
fn changes(mut attributes: &[u8]) -> u8 {
    while attributes.len() >= 8 {
        let kind = u16::from_be_bytes([attributes[0], attributes[1]]);
        let size = usize::from(u16::from_be_bytes([attributes[2], attributes[3]]));
        if kind == CHANGE_REQUEST && size == 4 {
            let flags = attributes[7];
            return u8::from(flags & CHANGE_PORT != 0) | u8::from(flags & CHANGE_IP != 0) << 1;
        }
        attributes = attributes.get(4 + (size + 3) / 4 * 4..).unwrap_or(&[]);
    }
    0
}

fn response(id: &[u8], seen: SocketAddr, other: SocketAddr) -> Vec<u8> {
    let mut attributes = address_attribute(XOR_MAPPED_ADDRESS, seen, &COOKIE);
    attributes.extend(address_attribute(OTHER_ADDRESS, other, &[0; 4]));
    let mut message = BINDING_RESPONSE.to_be_bytes().to_vec();
    message.extend((attributes.len() as u16).to_be_bytes());
    message.extend(id);
    message.extend(attributes);
    message
}

fn address_attribute(kind: u16, addr: SocketAddr, mask: &[u8; 4]) -> Vec<u8> {
    let ip = match addr.ip() {
        IpAddr::V4(ip) => ip.octets(),
        IpAddr::V6(_) => unreachable!("the server has IPv4 addresses"),
    };
    let mut attribute = kind.to_be_bytes().to_vec();
    attribute.extend([0, 8, 0, 1]);
    attribute.extend(
        addr.port()
            .to_be_bytes()
            .iter()
            .zip(mask)
            .map(|(a, b)| a ^ b),
    );
    attribute.extend(ip.iter().zip(mask).map(|(a, b)| a ^ b));
    attribute
}

/// A server that never answers, as long as it lives.
pub fn silent_server() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let name = socket.local_addr().unwrap().to_string();
    (socket, name)
}

/// Something that closures fill and the test looks at.
#[derive(Clone, Default)]
pub struct Shared<T>(Arc<Mutex<Vec<T>>>);

impl<T> Shared<T> {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Vec::new())))
    }

    pub fn push(&self, item: T) {
        self.0.lock().unwrap().push(item);
    }

    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Calls something that should take this long at the most.
pub fn within<T>(limit: Duration, call: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = call();
    let took = start.elapsed();
    assert!(took < limit, "it took {took:?}, more than {limit:?}");
    value
}

/// Sends datagrams "hello 0", "hello 1", ... to a port of this host, and gives their sender.
pub fn send_hellos(port: u16, count: usize) -> SocketAddr {
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for i in 0..count {
        let text = format!("hello {i}");
        sender
            .send_to(text.as_bytes(), ("127.0.0.1", port))
            .unwrap();
    }
    sender.local_addr().unwrap()
}
