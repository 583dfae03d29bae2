// SPDX-License-Identifier: MIT
//! Checks that block, over loopback.

mod support;

use std::error::Error as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use natprobe::{
    check_nat, check_nat_and_log, Behaviour, Canceller, Error, ErrorKind, Event, EventKind,
    Evidence, Family, LogLevel, NatResult, NatType, Probe, Purpose, Request, Running, Tests,
};
use support::{probe_of, send_hellos, silent_server, within, Server, Shared};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SHORT: Duration = Duration::from_millis(200);
const PROMPTLY: Duration = Duration::from_secs(2);

fn kind<T: std::fmt::Debug>(outcome: Result<T, Error>) -> ErrorKind {
    outcome.unwrap_err().kind()
}

/// The message of a panic that a call is expected to end with.
fn panic_of<T>(call: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(call))
        .err()
        .expect("it panics");
    panic
        .downcast_ref::<&str>()
        .expect("it says why")
        .to_string()
}

#[test]
fn types_may_go_where_they_should() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    fn kept<T: 'static>() {}
    send::<Probe>();
    sync::<Probe>();
    send::<Running>();
    sync::<Running>();
    send::<Running<&mut Probe>>();
    sync::<Running<&mut Probe>>();
    send::<Canceller>();
    sync::<Canceller>();
    send::<Error>();
    sync::<Error>();
    kept::<Error>();
    send::<NatResult>();
    sync::<NatResult>();
    send::<Event>();
    sync::<Event>();
}

#[test]
fn full_result() {
    let server = Server::start();
    let result = probe_of(&server.name()).run().unwrap();
    assert_eq!(result.nat_type, NatType::OpenInternet);
    assert_eq!(result.mapping, Behaviour::NoTranslation);
    assert_eq!(result.filtering, Behaviour::EndpointIndependent);
    assert!(result
        .evidence
        .contains(Evidence::MAPPING_PROVEN | Evidence::FILTERING_PROVEN));
    assert_eq!(result.external(), result.local());
    assert!(result.external_ip.unwrap().is_loopback());
    let external = result.external().unwrap();
    assert_eq!(
        result.to_string(),
        format!("Open Internet (No NAT), seen as {external}")
    );
    assert_eq!(result.server, Some(server.addr()));
    assert!(result.rtt.unwrap() <= result.elapsed);
    assert!(result.packets_received > 0 && result.packets_sent >= result.packets_received);
}

#[test]
fn mapping_only_from_a_source_port() {
    let server = Server::start();
    let port = free_port(20_000);
    let mut probe = probe_of(&server.name());
    probe
        .set_source(Some(LOCALHOST), port)
        .unwrap()
        .set_tests(Tests::MAPPING)
        .unwrap();
    let result = probe.run().unwrap();
    assert_eq!(result.nat_type, NatType::NoNat);
    assert_eq!(result.filtering, Behaviour::Unknown);
    assert_eq!(result.local(), Some(SocketAddr::new(LOCALHOST, port)));

    probe.set_source(None, 0).unwrap();
    assert_ne!(probe.run().unwrap().local_port, Some(port));
}

#[test]
fn the_filtering_brings_the_mapping() {
    let server = Server::start();
    let mut probe = probe_of(&server.name());
    for tests in [
        Tests::FILTERING,
        Tests::MAPPING | Tests::FILTERING,
        Tests::DEFAULT,
    ] {
        let result = probe.set_tests(tests).unwrap().run().unwrap();
        assert_eq!(result.nat_type, NatType::OpenInternet, "{tests:?}");
    }
}

#[test]
fn log_and_events() {
    let server = Server::start();
    let (lines, events) = (Shared::new(), Shared::new());
    let (line, event) = (lines.clone(), events.clone());
    let mut probe = probe_of(&server.name());
    probe
        .set_log(LogLevel::Debug, move |level, text| {
            line.push((level, text.to_owned()))
        })
        .unwrap()
        .set_events(move |e| event.push(e.clone()))
        .unwrap();
    let result = probe.run().unwrap();

    assert!(lines
        .take()
        .iter()
        .any(|(level, text)| *level == LogLevel::Debug && !text.is_empty()));
    let seen = events.take();
    let count = |is_one: fn(&EventKind) -> bool| seen.iter().filter(|e| is_one(&e.kind)).count();
    assert_eq!(
        count(|kind| matches!(kind, EventKind::Sent { copy: 1.., .. })),
        result.packets_sent as usize
    );
    assert!(seen.iter().any(|event| matches!(
        event.kind,
        EventKind::Answered { purpose: Purpose::Filtering, request: Request::II, external, .. }
            if external.ip().is_loopback()
    )));
    assert_eq!(count(|kind| matches!(kind, EventKind::Refused { .. })), 0);
    assert_eq!(
        count(|kind| matches!(
            kind,
            EventKind::Mapping {
                behaviour: Behaviour::NoTranslation,
                ..
            }
        )),
        1
    );
    assert!(seen.iter().any(|event| matches!(
        event.kind,
        EventKind::Filtering { behaviour: Behaviour::EndpointIndependent, server: from, .. }
            if from == server.addr()
    )));
    assert_eq!(count(|kind| matches!(kind, EventKind::Other { .. })), 0);
    match seen.last().unwrap().kind {
        EventKind::Finished {
            outcome, server, ..
        } => assert_eq!((outcome, server), (Ok(result.nat_type), result.server)),
        ref kind => panic!("{kind:?}"),
    }
    assert_eq!(seen[0].kind.name(), "sent");
    assert_eq!(seen.last().unwrap().kind.name(), "concluded");
    assert!(seen.windows(2).all(|pair| pair[0].time <= pair[1].time));

    probe.clear_log().unwrap().clear_events().unwrap();
    probe.run().unwrap();
    assert!(lines.take().is_empty() && events.take().is_empty());
}

#[test]
fn an_end_without_a_type_is_told_as_an_error() {
    let (_server, name) = silent_server();
    let events = Shared::new();
    let event = events.clone();
    let mut probe = probe_of(&name);
    probe
        .set_response_timeout(SHORT)
        .unwrap()
        .set_events(move |e: &Event| event.push(e.kind.clone()))
        .unwrap();
    probe.run().unwrap_err();
    match events.take().last() {
        Some(EventKind::Finished { outcome, .. }) => {
            assert_eq!(*outcome, Err(ErrorKind::NoResponse));
        }
        last => panic!("{last:?}"),
    }
}

#[test]
fn silence_is_no_response() {
    let (_server, name) = silent_server();
    let mut probe = probe_of(&name);
    probe.set_response_timeout(SHORT).unwrap();
    let error = probe.run().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoResponse);
    assert_eq!(error.name(), "no-response");
    assert_eq!(error.partial().unwrap().nat_type, NatType::UdpBlocked);
    assert!(error.partial().unwrap().packets_sent > 0);
    assert_eq!(error.os_error(), None);
    assert!(error.source().is_none());
    assert!(error.to_string().starts_with("No STUN server answered"));
    assert!(format!("{error:?}").contains("NoResponse"));
    assert!(error.is_timeout() && !error.is_cancelled());
    let error = io::Error::from(error);
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let error = error.into_inner().unwrap().downcast::<Error>().unwrap();
    assert_eq!(error.into_partial().unwrap().external(), None);
}

/// Nothing is said of UDP then.
#[test]
fn silence_until_the_deadline_is_no_response_too() {
    let (_server, name) = silent_server();
    let mut probe = probe_of(&name);
    probe.set_timeout(SHORT).unwrap();
    let error = within(PROMPTLY, || probe.run().unwrap_err());
    assert_eq!(error.kind(), ErrorKind::NoResponse);
    assert!(error.is_timeout());
    let partial = error.partial().unwrap();
    assert_eq!(partial.nat_type, NatType::Unknown);
    assert!(partial.packets_sent > 0 && partial.packets_received == 0);
}

#[test]
fn deadline() {
    let server = Server::start_half_dead();
    let mut probe = probe_of(&server.name());
    probe.set_timeout(SHORT).unwrap();
    let error = within(PROMPTLY, || probe.run().unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.is_timeout() && !error.is_cancelled());
    let error = io::Error::from(error);
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(error.get_ref().unwrap().is::<Error>());
}

#[test]
fn source_in_use() {
    let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = holder.local_addr().unwrap();
    let mut probe = probe_of("127.0.0.1:3478");
    probe.set_source(Some(addr.ip()), addr.port()).unwrap();
    let error = probe.run().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressInUse);
    assert_eq!(error.os_error(), Some(libc::EADDRINUSE));
    let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), io::ErrorKind::AddrInUse);
    assert!(!error.is_timeout());
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::AddrInUse);

    // The same in one call, which looks at the source first.
    assert_eq!(
        kind(check_nat(Some(addr.ip()), addr.port())),
        ErrorKind::AddressInUse
    );
    let lines = Shared::new();
    let logged = check_nat_and_log(Some(addr.ip()), addr.port(), |level, text| {
        lines.push((level, text.to_owned()))
    });
    assert!(
        matches!(&lines.take()[..], [(LogLevel::Error, text)] if text.contains("port is in use"))
    );
    for outcome in [
        logged,
        natprobe::check_nat_and_print(Some(addr.ip()), addr.port()),
    ] {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddressInUse);
        assert!(error.detail().contains(&addr.to_string()));
        assert_eq!(error.os_error(), Some(libc::EADDRINUSE));
        assert!(error.partial().is_some());
    }
}

#[test]
fn source_of_another_host() {
    // TEST-NET-1 (RFC 5737): nobody's, and nothing is sent.
    let mut probe = probe_of("127.0.0.1:3478");
    probe
        .set_source(Some(IpAddr::from([192, 0, 2, 1])), 0)
        .unwrap();
    assert_eq!(kind(probe.run()), ErrorKind::AddressNotAvailable);
}

#[test]
fn source_as_the_address_of_a_socket() {
    let server = Server::start();
    let addr = SocketAddr::new(LOCALHOST, free_port(22_000));
    let mut probe = probe_of(&server.name());
    let result = probe.set_source_addr(addr).unwrap().run().unwrap();
    assert_eq!(result.local(), Some(addr));

    // Nobody has this one: it is used as it was given, with its interface.
    let link_local: SocketAddr = "[fe80::5:4:3:2%1]:0".parse().unwrap();
    let mut probe = probe_of("[::1]:3478");
    let error = probe
        .set_source_addr(link_local)
        .unwrap()
        .run()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressNotAvailable, "{error}");
    assert!(error.detail().contains("fe80::5:4:3:2%"), "{error}");
    probe.set_source_addr(([127, 0, 0, 1], 0)).unwrap();
}

#[test]
fn through_an_interface() {
    let server = Server::start();
    let mut probe = probe_of(&server.name());
    let loopback = if cfg!(any(target_os = "linux", target_os = "android")) {
        "lo"
    } else {
        "lo0"
    };
    let result = probe.set_interface(loopback).unwrap().run().unwrap();
    assert_eq!(result.nat_type, NatType::OpenInternet);

    // Whether there is one is told by the run.
    probe.set_interface("nowhere0").unwrap();
    let error = probe.run().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressNotAvailable);
    assert!(error.detail().contains("nowhere0"), "{error}");
    assert_eq!(error.partial().unwrap().packets_sent, 0);

    let long = "a".repeat(300);
    for name in ["", "a\0b", &long] {
        let error = probe.set_interface(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument, "{name:?}");
        assert!(error.detail().contains(&format!("{name:?}")));
    }
    // Those have changed nothing.
    assert_eq!(kind(probe.run()), ErrorKind::AddressNotAvailable);
    probe.clear_interface().unwrap().run().unwrap();
}

#[test]
fn arguments_are_checked() {
    let mut probe = Probe::new().unwrap();
    for server in [
        "",
        "two words",
        "127.0.0.1:99999",
        "a\0b",
        "[::1",
        "http://127.0.0.1/",
        "0.0.0.0",
    ] {
        let error = probe.add_server(server).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument, "{server:?}");
        assert!(error.detail().contains(&format!("{server:?}")));
        assert!(error.partial().is_none());
    }
    for _ in 0..natprobe::MAX_SERVERS {
        probe.add_server("127.0.0.1").unwrap();
    }
    let error = probe.add_server("127.0.0.1").map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::InvalidInput);
    assert_eq!(kind(probe.add_server("two words")), ErrorKind::Argument);
    probe
        .clear_servers()
        .unwrap()
        .add_server("127.0.0.1")
        .unwrap();

    assert_eq!(
        kind(probe.set_family(Family::from_raw(5))),
        ErrorKind::Argument
    );
    for tests in [
        Tests::empty(),
        Tests::from_bits(1 << 30),
        Tests::DEFAULT | Tests::from_bits(1 << 30),
    ] {
        assert_eq!(
            kind(probe.set_tests(tests)),
            ErrorKind::Argument,
            "{tests:?}"
        );
    }
    assert_eq!(
        kind(probe.set_log(LogLevel::from_raw(5), |_, _| ())),
        ErrorKind::Argument
    );
    for time in [
        Duration::ZERO,
        Duration::from_millis(3_600_001),
        Duration::MAX,
    ] {
        assert_eq!(
            kind(probe.set_timeout(time)),
            ErrorKind::Argument,
            "{time:?}"
        );
        assert_eq!(
            kind(probe.set_response_timeout(time)),
            ErrorKind::Argument,
            "{time:?}"
        );
    }
    for time in [Duration::from_nanos(1), Duration::from_secs(3600)] {
        probe
            .set_timeout(time)
            .unwrap()
            .set_response_timeout(time)
            .unwrap();
    }

    // What does not go together is told by the run.
    probe
        .set_family(Family::Ipv6)
        .unwrap()
        .set_source(Some(LOCALHOST), 0)
        .unwrap();
    let error = probe.run().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Argument);
    assert!(error.detail().contains("family"));
}

#[test]
fn cancel_from_a_thread() {
    let (_server, name) = silent_server();
    let mut probe = probe_of(&name);
    for _ in 0..2 {
        let canceller = probe.canceller();
        let thread = thread::spawn(move || {
            thread::sleep(SHORT);
            canceller.cancel();
        });
        let error = within(PROMPTLY, || probe.run().unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        thread.join().unwrap();
    }
}

#[test]
fn cancel_is_for_the_run_in_progress_alone() {
    let server = Server::start();
    let mut probe = probe_of(&server.name());
    let canceller = probe.canceller();
    canceller.cancel();
    probe.run().unwrap();
    canceller.cancel();
    probe.run().unwrap();

    // From its beginning on.
    let mut running = probe.start().unwrap();
    canceller.cancel();
    match running.process() {
        Poll::Ready(Err(error)) => assert!(error.is_cancelled()),
        other => panic!("{other:?}"),
    }
    drop(running);
    probe.run().unwrap();
    drop(probe);
    canceller.cancel();
    canceller.clone().cancel();
}

/// What comes with the last event comes too late.
#[test]
fn cancel_at_the_end_spares_this_run_and_the_next() {
    let server = Server::start();
    let mut probe = probe_of(&server.name());
    let canceller = probe.canceller();
    let ends = Shared::new();
    let end = ends.clone();
    probe
        .set_events(move |event| {
            if let EventKind::Finished { .. } = event.kind {
                canceller.cancel();
                end.push(());
            }
        })
        .unwrap();
    for _ in 0..3 {
        assert_eq!(probe.run().unwrap().nat_type, NatType::OpenInternet);
        let outcome = probe.start().unwrap().wait();
        assert_eq!(outcome.unwrap().nat_type, NatType::OpenInternet);
    }
    assert_eq!(ends.take().len(), 6);
}

/// Each run is cancelled or comes to its result, however cancelling and runs meet.
#[test]
fn cancel_at_any_moment_spares_the_next_run() {
    let server = Server::start();
    let mut probe = probe_of(&server.name());
    for delay in 0..60 {
        let canceller = probe.canceller();
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_micros(delay * 50));
            canceller.cancel();
        });
        match probe.run() {
            Ok(result) => assert_eq!(result.nat_type, NatType::OpenInternet),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Cancelled),
        }
        thread.join().unwrap();
        probe.run().unwrap();
    }
}

#[test]
fn cancel_while_probes_come_and_go() {
    for _ in 0..50 {
        let probe = Probe::new().unwrap();
        let canceller = probe.canceller();
        let thread = thread::spawn(move || (0..100).for_each(|_| canceller.cancel()));
        drop(probe);
        thread.join().unwrap();
    }
}

#[test]
fn cancel_from_a_closure() {
    let (_server, name) = silent_server();
    let mut probe = probe_of(&name);
    let canceller = probe.canceller();
    probe.set_events(move |_| canceller.cancel()).unwrap();
    assert_eq!(within(PROMPTLY, || kind(probe.run())), ErrorKind::Cancelled);
}

#[test]
fn probes_move_between_threads_and_run_in_parallel() {
    let server = Server::start();
    let name = server.name();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let mut probe = probe_of(&name);
            thread::spawn(move || {
                let result = probe.run();
                (probe, result)
            })
        })
        .collect();
    for thread in threads {
        let (mut probe, result) = thread.join().unwrap();
        assert_eq!(result.unwrap().nat_type, NatType::OpenInternet);
        assert_eq!(probe.run().unwrap().nat_type, NatType::OpenInternet);
    }
}

#[test]
fn panics_in_closures_come_out_of_the_run() {
    let (_silent, name) = silent_server();
    let mut probe = probe_of(&name);
    probe
        .set_log(LogLevel::Debug, |_, _| panic!("in the log"))
        .unwrap();
    assert_eq!(within(PROMPTLY, || panic_of(|| probe.run())), "in the log");
    probe
        .clear_log()
        .unwrap()
        .set_events(|_| panic!("in an event"))
        .unwrap();
    assert_eq!(within(PROMPTLY, || panic_of(|| probe.run())), "in an event");

    let server = Server::start();
    probe
        .clear_events()
        .unwrap()
        .clear_servers()
        .unwrap()
        .add_server(&server.name())
        .unwrap();
    probe.run().unwrap();
}

#[test]
fn panic_at_any_moment_spares_the_next_run() {
    let server = Server::start();
    let mut probe = probe_of(&server.name());
    for moment in 0..40 {
        let mut number = 0;
        probe
            .set_events(move |_| {
                number += 1;
                assert!(number <= moment, "now");
            })
            .unwrap();
        // There are not so many events in the end.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| probe.run())) {
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"now"));
        }
        probe.clear_events().unwrap();
        probe.run().unwrap();
    }
}

#[test]
fn panic_of_the_one_call_form() {
    let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = holder.local_addr().unwrap();
    assert_eq!(
        panic_of(|| check_nat_and_log(Some(addr.ip()), addr.port(), |_, _| panic!("in the log"))),
        "in the log"
    );
}

#[test]
fn closures_are_dropped_when_replaced() {
    let (_server, name) = silent_server();
    let mut probe = probe_of(&name);
    let alive = Arc::new(());
    for _ in 0..3 {
        let (a, b, c) = (alive.clone(), alive.clone(), alive.clone());
        let socket = bound("127.0.0.1:0");
        probe
            .set_log(LogLevel::Info, move |_, _| drop(a.clone()))
            .unwrap();
        probe.set_events(move |_| drop(b.clone())).unwrap();
        probe
            .set_socket(&socket, move |_, _| drop(c.clone()))
            .unwrap();
        assert_eq!(Arc::strong_count(&alive), 4);
    }
    probe.clear_log().unwrap();
    probe.set_source(None, 0).unwrap();
    assert_eq!(Arc::strong_count(&alive), 2);
    drop(probe);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn from_a_socket_of_the_callers() {
    let server = Server::start();
    let socket = bound((Ipv4Addr::UNSPECIFIED, free_port(21_000)));
    let addr = socket.local_addr().unwrap();
    let received = Shared::new();
    let inbox = received.clone();
    let mut probe = probe_of(&server.name());
    probe
        .set_socket(&socket, move |data, from| inbox.push((data.to_vec(), from)))
        .unwrap();
    let sender = send_hellos(addr.port(), 20);
    let result = probe.run().unwrap();
    assert_eq!(result.nat_type, NatType::OpenInternet);
    assert_eq!(result.external_port, Some(addr.port()));

    let mut got = received.take();
    got.extend(left_in(&socket));
    let hellos: Vec<_> = (0..20)
        .map(|i| (format!("hello {i}").into_bytes(), sender))
        .collect();
    assert_eq!(got, hellos);

    // Another run from the same socket, which stays the caller's: it holds the port, nobody else.
    let result = probe.run().unwrap();
    assert_eq!(result.local_port, Some(addr.port()));
    drop(socket);
    UdpSocket::bind(addr).unwrap();
    let error = probe.run().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Argument);
    assert_eq!(error.detail(), "the socket has been closed");
    assert_eq!(kind(probe.start()), ErrorKind::Argument);
    probe.clear_socket().unwrap();
    assert_ne!(probe.run().unwrap().local_port, Some(addr.port()));
}

#[test]
fn port_is_taken_until_the_end_of_the_run() {
    let (_server, name) = silent_server();
    let socket = bound("127.0.0.1:0");
    let addr = socket.local_addr().unwrap();
    let mut probe = probe_of(&name);
    probe.set_socket(&socket, |_, _| ()).unwrap();
    let running = probe.start().unwrap();
    drop(socket);
    UdpSocket::bind(addr).unwrap_err();
    drop(running);
    UdpSocket::bind(addr).unwrap();
}

#[test]
fn datagrams_of_ipv6() {
    let socket = match UdpSocket::bind("[::1]:0") {
        Ok(socket) => Arc::new(socket),
        Err(_) => return, // no IPv6 here
    };
    let addr = socket.local_addr().unwrap();
    let received = Shared::new();
    let inbox = received.clone();
    let mut probe = probe_of(&addr.to_string());
    probe
        .set_socket(&socket, move |data, from| inbox.push((data.to_vec(), from)))
        .unwrap()
        .set_timeout(SHORT)
        .unwrap();
    let sender = UdpSocket::bind("[::1]:0").unwrap();
    sender.send_to(b"", addr).unwrap();
    probe.run().unwrap_err();
    // Being its own server it gets requests as well: from itself, and from the socket that tests
    // the filtering.
    let got = received.take();
    assert_eq!(got[0], (Vec::new(), sender.local_addr().unwrap()));
    assert!(got[1..]
        .iter()
        .any(|(data, from)| data.len() >= 20 && *from == addr));
}

#[test]
fn panic_over_a_datagram_loses_no_other() {
    let (_server, name) = silent_server();
    let socket = bound("127.0.0.1:0");
    let received = Shared::new();
    let inbox = received.clone();
    let mut probe = probe_of(&name);
    probe
        .set_socket(&socket, move |data, from| {
            inbox.push((data.to_vec(), from));
            panic!("over a datagram");
        })
        .unwrap();
    let sender = send_hellos(socket.local_addr().unwrap().port(), 3);
    assert_eq!(
        within(PROMPTLY, || panic_of(|| probe.run())),
        "over a datagram"
    );
    let mut got = received.take();
    got.extend(left_in(&socket));
    let hellos: Vec<_> = (0..3)
        .map(|i| (format!("hello {i}").into_bytes(), sender))
        .collect();
    assert_eq!(got, hellos);
}

#[test]
fn sockets_that_will_not_do() {
    let mut probe = Probe::new().unwrap();
    let connected = bound("127.0.0.1:0");
    connected.connect("127.0.0.1:9").unwrap();
    assert_eq!(
        kind(probe.set_socket(&connected, |_, _| ())),
        ErrorKind::Argument
    );
    let tcp = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    assert_eq!(kind(probe.set_socket(&tcp, |_, _| ())), ErrorKind::Argument);
    let file = Arc::new(std::fs::File::open("/dev/null").unwrap());
    assert_eq!(
        kind(probe.set_socket(&file, |_, _| ())),
        ErrorKind::Argument
    );
}

fn bound(addr: impl ToSocketAddrs) -> Arc<UdpSocket> {
    Arc::new(UdpSocket::bind(addr).unwrap())
}

/// A port that no other test is given by the system or takes by itself.
fn free_port(from: u16) -> u16 {
    (from..from + 100)
        .find(|port| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok())
        .expect("a port is free")
}

/// What the library did not read, less late answers to its requests.
fn left_in(socket: &UdpSocket) -> Vec<(Vec<u8>, SocketAddr)> {
    let mut room = [0; 2048];
    let mut left = Vec::new();
    socket.set_nonblocking(true).unwrap();
    while let Ok((size, from)) = socket.recv_from(&mut room) {
        if room.starts_with(b"hello") {
            left.push((room[..size].to_vec(), from));
        }
    }
    left
}
