// SPDX-License-Identifier: MIT
//! What a forked child may do with a probe: nothing, and that safely.

mod support;

use std::os::unix::io::AsRawFd;
use std::process;
use std::task::Poll;
use std::time::Duration;

use natprobe::{Error, ErrorKind, Probe, Running};
use support::{in_a_child, silent_server, Server};

fn is_refused<T>(outcome: Result<T, Error>) -> bool {
    matches!(outcome, Err(error) if error.kind() == ErrorKind::Argument && error.detail().contains("forked"))
}

fn is_open(fd: i32) -> bool {
    // SAFETY: a number.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

#[test]
fn a_child_leaves_the_probe_to_its_parent() {
    let (_server, name) = silent_server();
    let mut probe = Probe::new().unwrap();
    probe.add_server(&name).unwrap();
    let canceller = probe.canceller();
    let mut running = Running::start(probe).unwrap();
    let fd = running.as_raw_fd();
    assert!(in_a_child(|| {
        canceller.cancel();
        match running.process() {
            Poll::Ready(outcome) => is_refused(outcome),
            Poll::Pending => false,
        }
    }));
    // Neither was the parent's check cancelled.
    assert!(running.process().is_pending());
    canceller.cancel();
    assert!(matches!(running.process(), Poll::Ready(Err(error)) if error.is_cancelled()));
    assert!(is_open(fd));
}

#[test]
fn dropping_it_in_a_child_frees_nothing() {
    let (_silent, silent) = silent_server();
    let server = Server::start();
    let mut probe = Probe::new().unwrap();
    probe.add_server(&silent).unwrap();
    let running = Running::start(probe).unwrap();
    let fd = running.as_raw_fd();
    let mut held = Some(running);
    assert!(in_a_child(|| {
        drop(held.take());
        is_open(fd)
    }));
    let mut probe = held.unwrap().into_probe();
    probe
        .clear_servers()
        .unwrap()
        .add_server(&server.name())
        .unwrap();
    probe.run().unwrap();
}

#[test]
fn every_call_in_a_child_is_refused() {
    let mut probe = Probe::new().unwrap();
    let parent = process::id();
    assert!(in_a_child(|| {
        process::id() != parent
            && is_refused(probe.run())
            && is_refused(probe.start().map(drop))
            && is_refused(probe.add_server("127.0.0.1").map(drop))
            && is_refused(probe.clear_servers().map(drop))
            && is_refused(probe.set_interface("lo").map(drop))
            && is_refused(probe.set_timeout(Duration::from_secs(1)).map(drop))
            && is_refused(probe.set_events(|_| ()).map(drop))
            && Probe::new().is_ok()
    }));
}
