// SPDX-License-Identifier: MIT
//! Checks in an event loop, over loopback.

mod support;

use std::any::Any;
use std::mem;
use std::os::unix::io::{AsFd, AsRawFd};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use natprobe::{Error, ErrorKind, EventKind, Holder, NatResult, NatType, Running};
use support::{in_a_child, probe_of, silent_server, within, Server, Shared};

const PROMPTLY: Duration = Duration::from_secs(2);

/// Waits until one of the descriptors is readable.
fn wait(fds: &[&dyn AsRawFd]) {
    let mut fds: Vec<_> = fds
        .iter()
        .map(|fd| libc::pollfd {
            fd: fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    // SAFETY: so many descriptors.
    let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, 10_000) };
    assert!(ready > 0, "nothing happens");
}

fn finish<P: Holder>(running: &mut Running<P>) -> Result<NatResult, Error> {
    loop {
        wait(&[running]);
        assert!(running.is_ready());
        if let Poll::Ready(outcome) = running.process() {
            return outcome;
        }
    }
}

#[test]
fn result_again_and_again() {
    let server = Server::start();
    let mut probe = probe_of(&server.name());
    let mut fds = Vec::new();
    for _ in 0..3 {
        let mut running = probe.start().unwrap();
        fds.push(running.as_fd().as_raw_fd());
        assert_eq!(
            finish(&mut running).unwrap().nat_type,
            NatType::OpenInternet
        );
        assert!(!running.is_ready());
        match running.process() {
            Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::Argument),
            other => panic!("{other:?}"),
        }
    }
    assert!(fds.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(probe.run().unwrap().nat_type, NatType::OpenInternet);
}

#[test]
fn several_at_once_that_own_their_probes() {
    let server = Server::start();
    let start = |_| Running::start(probe_of(&server.name())).unwrap();
    let mut all: Vec<Running> = (0..20).map(start).collect();
    while !all.is_empty() {
        let fds: Vec<_> = all.iter().map(|running| running as &dyn AsRawFd).collect();
        wait(&fds);
        let mut left = Vec::new();
        for mut running in all {
            match running.process() {
                Poll::Pending => left.push(running),
                Poll::Ready(outcome) => {
                    assert_eq!(outcome.unwrap().nat_type, NatType::OpenInternet)
                }
            }
        }
        all = left;
    }
}

#[test]
fn what_goes_wrong_is_told_by_process() {
    let holder = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut probe = probe_of("127.0.0.1:3478");
    let addr = holder.local_addr().unwrap();
    probe.set_source(Some(addr.ip()), addr.port()).unwrap();
    let error = finish(&mut probe.start().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressInUse);
}

/// A process without descriptors left has no check to watch, and the code alone says so.
#[test]
fn what_cannot_begin_is_told_by_start() {
    let (_server, name) = silent_server();
    assert!(in_a_child(|| {
        let mut probe = probe_of(&name);
        let had = limit_descriptors(3);
        let refused = matches!(probe.start(), Err(error) if error.kind() == ErrorKind::System);
        limit_descriptors(had);
        refused && probe.start().is_ok()
    }));
}

/// Gives the limit that there was.
fn limit_descriptors(count: libc::rlim_t) -> libc::rlim_t {
    // SAFETY: numbers only.
    unsafe {
        let mut limit = mem::zeroed::<libc::rlimit>();
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        let had = mem::replace(&mut limit.rlim_cur, count);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
        had
    }
}

#[test]
fn waiting_for_what_was_started() {
    let server = Server::start();
    let mut probe = probe_of(&server.name());
    let mut running = probe.start().unwrap();
    assert_eq!(running.wait().unwrap().nat_type, NatType::OpenInternet);
    assert_eq!(running.wait().unwrap_err().kind(), ErrorKind::Argument);
    drop(running);

    // A cancel that comes before is not lost.
    let mut running = probe.start().unwrap();
    running.canceller().cancel();
    assert!(running.wait().unwrap_err().is_cancelled());
    drop(running);

    let (_silent, silent) = silent_server();
    let mut running = Running::start(probe_of(&silent)).unwrap();
    let canceller = running.canceller();
    let thread = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        canceller.cancel();
    });
    assert!(within(PROMPTLY, || running.wait())
        .unwrap_err()
        .is_cancelled());
    thread.join().unwrap();
}

#[test]
fn a_check_given_up_spares_the_next() {
    let server = Server::start();
    let mut probe = probe_of(&server.name());
    for turns in 0..20 {
        let mut running = probe.start().unwrap();
        for _ in 0..turns {
            let _ = running.process();
        }
        drop(running);
        assert_eq!(probe.run().unwrap().nat_type, NatType::OpenInternet);
    }
}

#[test]
fn cancel_wakes_the_loop() {
    let (_server, name) = silent_server();
    let mut probe = probe_of(&name);
    let mut running = probe.start().unwrap();
    let canceller = running.canceller();
    let thread = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        canceller.cancel();
    });
    let error = within(PROMPTLY, || finish(&mut running).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    thread.join().unwrap();
}

#[test]
fn dropped_while_running() {
    let server = Server::start();
    let (_silent, silent) = silent_server();
    let mut probe = probe_of(&silent);
    let _ = within(PROMPTLY, || probe.start().unwrap().process());
    // Given up: the probe is free for other settings, and for another check.
    probe
        .clear_servers()
        .unwrap()
        .add_server(&server.name())
        .unwrap();
    assert_eq!(probe.run().unwrap().nat_type, NatType::OpenInternet);

    // A check that is over, but of which nobody has heard the end.
    let running = probe.start().unwrap();
    thread::sleep(Duration::from_millis(300));
    drop(running);
    assert_eq!(probe.run().unwrap().nat_type, NatType::OpenInternet);

    // Together with its probe.
    let mut running = Running::start(probe).unwrap();
    let _ = running.process();
    drop(running);
}

#[test]
fn probe_comes_back() {
    let server = Server::start();
    let running = Running::start(probe_of(&server.name())).unwrap();
    let probe = running.into_probe();
    let mut running = Running::start(probe).unwrap();
    finish(&mut running).unwrap();
    assert_eq!(
        running.into_probe().run().unwrap().nat_type,
        NatType::OpenInternet
    );
}

#[test]
fn leaked_guard_leaves_the_probe_busy() {
    let (_server, name) = silent_server();
    let mut probe = probe_of(&name);
    probe.set_events(|_| ()).unwrap();
    mem::forget(probe.start().unwrap());
    let busy = |error: Error| assert_eq!(error.kind(), ErrorKind::Busy);
    busy(probe.start().unwrap_err());
    busy(probe.run().unwrap_err());
    busy(probe.set_timeout(PROMPTLY).unwrap_err());
    busy(probe.set_source(None, 0).unwrap_err());
    busy(probe.add_server("127.0.0.1").unwrap_err());
    busy(probe.clear_servers().unwrap_err());
    busy(probe.set_interface("lo").unwrap_err());
    busy(probe.clear_interface().unwrap_err());
    busy(probe.set_events(|_| panic!("never called")).unwrap_err());
    busy(probe.clear_events().unwrap_err());
    drop(probe);
}

#[test]
fn moves_between_threads() {
    let server = Server::start();
    let mut running = Running::start(probe_of(&server.name())).unwrap();
    // On a busy host all answers may be there already.
    let result = match running.process() {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => thread::spawn(move || finish(&mut running)).join().unwrap(),
    };
    assert_eq!(result.unwrap().nat_type, NatType::OpenInternet);
}

#[test]
fn panic_in_a_closure() {
    let server = Server::start();
    let mut probe = probe_of(&server.name());
    for wanted in ["sent", "answered", "concluded"] {
        let seen = Shared::new();
        let kinds = seen.clone();
        probe
            .set_events(move |event| {
                kinds.push(event.kind.name());
                assert_ne!(event.kind.name(), wanted, "as wanted");
            })
            .unwrap();
        let panic = catch_unwind(AssertUnwindSafe(|| {
            let _ = finish(&mut probe.start().unwrap());
        }));
        assert!(text_of(&panic.unwrap_err()).contains("as wanted"));
        let kinds = seen.take();
        assert_eq!(kinds.iter().filter(|kind| **kind == wanted).count(), 1);
        assert_eq!(kinds.last(), Some(&wanted));
        probe.clear_events().unwrap();
        assert_eq!(
            probe.run().unwrap().nat_type,
            NatType::OpenInternet,
            "after {wanted}"
        );
    }
}

/// Of a panic with a message.
fn text_of(panic: &Box<dyn Any + Send>) -> &str {
    match panic.downcast_ref::<String>() {
        Some(text) => text,
        None => panic.downcast_ref::<&str>().unwrap(),
    }
}

/// Whoever catches the panic and goes on finds a check that is over.
#[test]
fn panic_in_process_ends_the_check() {
    let (_server, name) = silent_server();
    let events = Shared::new();
    let event = events.clone();
    let started = Arc::new(AtomicBool::new(false));
    let armed = Arc::clone(&started);
    let mut probe = probe_of(&name);
    probe
        .set_events(move |e| {
            event.push(e.clone());
            // What leaves from within start() is let pass.
            assert!(!armed.load(Ordering::SeqCst), "in process()");
        })
        .unwrap();
    let mut running = probe.start().unwrap();
    started.store(true, Ordering::SeqCst);
    let panic = within(PROMPTLY, || {
        catch_unwind(AssertUnwindSafe(|| finish(&mut running))).unwrap_err()
    });
    assert_eq!(text_of(&panic), "in process()");
    events.take();
    assert!(!running.is_ready());
    match running.process() {
        Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::Argument),
        other => panic!("{other:?}"),
    }
    drop(running);
    assert!(events.take().is_empty());
    probe.clear_events().unwrap();
    drop(probe.start().unwrap());
}

#[test]
fn panic_in_start_ends_the_check() {
    let server = Server::start();
    let mut probe = probe_of(&server.name());
    probe.set_events(|_| panic!("at once")).unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| probe.start().map(drop))).unwrap_err();
    assert_eq!(text_of(&panic), "at once");
    probe.clear_events().unwrap();
    assert_eq!(probe.run().unwrap().nat_type, NatType::OpenInternet);
}

/// A panic whose message panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("a bomb");
        }
    }
}

#[test]
fn dropping_never_panics() {
    let (_server, name) = silent_server();
    let mut probe = probe_of(&name);
    let ends = Shared::new();
    let end = ends.clone();
    probe
        .set_events(move |event| {
            if let EventKind::Finished { .. } = event.kind {
                end.push(());
                std::panic::panic_any(Bomb);
            }
        })
        .unwrap();
    drop(probe.start().unwrap());
    assert_eq!(ends.take().len(), 1);

    // Nor while another panic is on its way, when the closures are left alone.
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let _running = probe.start().unwrap();
        panic!("of the caller's");
    }));
    assert_eq!(text_of(&panic.unwrap_err()), "of the caller's");
    assert!(ends.take().is_empty());

    // Whoever asks for the probe is told.
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let _ = Running::start(probe).unwrap().into_probe();
    }));
    assert!(panic
        .unwrap_err()
        .downcast::<Bomb>()
        .map(mem::forget)
        .is_ok());
}
