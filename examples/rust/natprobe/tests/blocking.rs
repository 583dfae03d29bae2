// SPDX-License-Identifier: MIT
//! Checks that block, over loopback.

mod support;

use std::error::Error as _;
use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::thread;
use std::time::Duration;

use natprobe::{
    check_nat, check_nat_and_log, sys, Behaviour, Canceller, Error, ErrorCode, Event, EventKind,
    Evidence, Family, LogLevel, NatType, Probe, Purpose, Running, Test, Tests, Verdict,
};
use support::{send_hellos, silent_server, within, Server, Shared};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SHORT: Duration = Duration::from_millis(200);
const PROMPTLY: Duration = Duration::from_secs(2);

fn probe_of(server: &str) -> Probe {
    let mut probe = Probe::new().unwrap();
    probe.add_server(server).unwrap();
    probe
}

fn code<T: std::fmt::Debug>(outcome: Result<T, Error>) -> ErrorCode {
    outcome.unwrap_err().code()
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
    send::<Probe>();
    send::<Running>();
    send::<Running<&mut Probe>>();
    send::<Canceller>();
    sync::<Canceller>();
    send::<Error>();
    sync::<Error>();
    send::<Verdict>();
    sync::<Verdict>();
    send::<Event>();
    sync::<Event>();
}

#[test]
fn layout_is_that_of_the_library() {
    // SAFETY: takes nothing.
    let (result, event) = unsafe { (sys::np_result_size(), sys::np_event_size()) };
    assert_eq!(result, mem::size_of::<sys::np_result>());
    assert_eq!(event, mem::size_of::<sys::np_event>());
}

#[test]
fn values_are_named_and_kept() {
    assert!(natprobe::version().starts_with("0."));
    assert!(natprobe::version_number() >= 0x0000_0200);
    assert_eq!(NatType::PortRestrictedCone.name(), "port-restricted-cone");
    assert_eq!(
        NatType::PortRestrictedCone.to_string(),
        "Port Restricted-cone NAT"
    );
    assert!(NatType::Symmetric.advice().contains("relay"));
    assert_eq!(Behaviour::AddressDependent.name(), "address-dependent");
    assert_eq!(Behaviour::AddressDependent.to_string(), "Address-dependent");
    assert_eq!(ErrorCode::NoResponse.name(), "no-response");
    assert_eq!(ErrorCode::NoResponse.to_string(), "No STUN server answered");
    assert_eq!(EventKind::Concluded.name(), "concluded");
    assert_eq!(Test::II.name(), "II");
    assert_eq!(Purpose::Control.to_string(), "control");
    assert_eq!(NatType::from_raw(sys::NP_NAT_CONE), NatType::Cone);
    assert_eq!(NatType::from_raw(77).as_raw(), 77);
    assert_eq!(NatType::from_raw(77).name(), "unknown");
    assert_eq!(ErrorCode::from_raw(-99).as_raw(), -99);

    let evidence = Evidence::from_bits_retain(1 << 31) | Evidence::ANSWERED | Evidence::LOSS;
    let names: Vec<_> = evidence.names().collect();
    assert_eq!(names, ["answered", "loss", "unknown"]);
}

#[test]
fn full_verdict() {
    let server = Server::start();
    let verdict = probe_of(&server.name()).run().unwrap();
    assert_eq!(verdict.nat_type, NatType::OpenInternet);
    assert_eq!(verdict.mapping, Behaviour::None);
    assert_eq!(verdict.filtering, Behaviour::EndpointIndependent);
    assert!(verdict
        .evidence
        .contains(Evidence::MAPPING_PROVEN | Evidence::FILTERING_PROVEN));
    assert_eq!(verdict.external(), verdict.local());
    assert!(verdict.external_ip.unwrap().is_loopback());
    let external = verdict.external().unwrap();
    assert_eq!(
        verdict.to_string(),
        format!("Open Internet (No NAT), seen as {external}")
    );
    assert_eq!(verdict.server, Some(server.addr()));
    assert!(verdict.rtt.unwrap() <= verdict.elapsed);
    assert!(verdict.packets_received > 0 && verdict.packets_sent >= verdict.packets_received);
}

#[test]
fn mapping_only_from_a_source_port() {
    let server = Server::start();
    let port = free_port(20_000);
    let mut probe = probe_of(&server.name());
    probe
        .set_source(Some(LOCALHOST), port)
        .unwrap()
        .set_tests(Tests::Mapping)
        .unwrap();
    let verdict = probe.run().unwrap();
    assert_eq!(verdict.nat_type, NatType::NoNat);
    assert_eq!(verdict.filtering, Behaviour::Unknown);
    assert_eq!(verdict.local(), Some(SocketAddr::new(LOCALHOST, port)));

    probe.set_source(None, 0).unwrap();
    assert_ne!(probe.run().unwrap().local_port, Some(port));
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
    let verdict = probe.run().unwrap();

    assert!(lines
        .take()
        .iter()
        .any(|(level, text)| *level == LogLevel::Debug && !text.is_empty()));
    let seen = events.take();
    let of = |kind| seen.iter().filter(move |event| event.kind == kind);
    assert_eq!(of(EventKind::Sent).count(), verdict.packets_sent as usize);
    assert!(of(EventKind::Sent).all(|e| e.copy > 0 && e.test.is_some() && e.remote.is_some()));
    assert!(of(EventKind::Answered).all(|e| e.external.is_some() && e.stun_error.is_none()));
    assert!(of(EventKind::Answered).any(|e| e.purpose == Some(Purpose::Filtering)));
    let last = seen.last().unwrap();
    assert_eq!((last.kind, last.purpose), (EventKind::Concluded, None));
    assert_eq!((last.nat_type, last.error), (verdict.nat_type, None));
    assert!(seen.windows(2).all(|pair| pair[0].time <= pair[1].time));

    probe.clear_log().unwrap().clear_events().unwrap();
    probe.run().unwrap();
    assert!(lines.take().is_empty() && events.take().is_empty());
}

#[test]
fn silence_is_no_response() {
    let (_server, name) = silent_server();
    let mut probe = probe_of(&name);
    probe.set_response_timeout(SHORT).unwrap();
    let error = probe.run().unwrap_err();
    assert_eq!(error.code(), ErrorCode::NoResponse);
    assert_eq!(error.name(), "no-response");
    assert_eq!(error.partial().unwrap().nat_type, NatType::UdpBlocked);
    assert!(error.partial().unwrap().packets_sent > 0);
    assert_eq!(error.os_error(), None);
    assert!(error.source().is_none());
    assert!(error.to_string().starts_with("No STUN server answered"));
    assert!(format!("{error:?}").contains("NoResponse"));
    assert_eq!(error.into_partial().unwrap().external(), None);
}

#[test]
fn deadline() {
    let (_server, name) = silent_server();
    let mut probe = probe_of(&name);
    probe.set_timeout(SHORT).unwrap();
    assert_eq!(within(PROMPTLY, || code(probe.run())), ErrorCode::Deadline);
}

#[test]
fn source_in_use() {
    let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = holder.local_addr().unwrap();
    let mut probe = probe_of("127.0.0.1:3478");
    probe.set_source(Some(addr.ip()), addr.port()).unwrap();
    let error = probe.run().unwrap_err();
    assert_eq!(error.code(), ErrorCode::AddressInUse);
    assert_eq!(error.os_error(), Some(libc::EADDRINUSE));
    let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), io::ErrorKind::AddrInUse);

    // The same in one call, which looks at the source first.
    assert_eq!(
        code(check_nat(Some(addr.ip()), addr.port())),
        ErrorCode::AddressInUse
    );
    let lines = Shared::new();
    let outcome = check_nat_and_log(Some(addr.ip()), addr.port(), |level, text| {
        lines.push((level, text.to_owned()))
    });
    assert_eq!(code(outcome), ErrorCode::AddressInUse);
    assert!(
        matches!(&lines.take()[..], [(LogLevel::Error, text)] if text.contains("port is in use"))
    );
    assert_eq!(
        code(natprobe::check_nat_and_print(Some(addr.ip()), addr.port())),
        ErrorCode::AddressInUse
    );
}

#[test]
fn source_of_another_host() {
    // TEST-NET-1 (RFC 5737): nobody's, and nothing is sent.
    let mut probe = probe_of("127.0.0.1:3478");
    probe
        .set_source(Some(IpAddr::from([192, 0, 2, 1])), 0)
        .unwrap();
    assert_eq!(code(probe.run()), ErrorCode::AddressNotAvailable);
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
        assert_eq!(error.code(), ErrorCode::Argument, "{server:?}");
        assert!(error.detail().contains(&format!("{server:?}")));
        assert!(error.partial().is_none());
    }
    for _ in 0..natprobe::MAX_SERVERS {
        probe.add_server("127.0.0.1").unwrap();
    }
    assert_eq!(code(probe.add_server("127.0.0.1")), ErrorCode::Argument);
    probe
        .clear_servers()
        .unwrap()
        .add_server("127.0.0.1")
        .unwrap();

    assert_eq!(
        code(probe.set_family(Family::from_raw(5))),
        ErrorCode::Argument
    );
    assert_eq!(
        code(probe.set_tests(Tests::from_raw(2))),
        ErrorCode::Argument
    );
    assert_eq!(
        code(probe.set_log(LogLevel::from_raw(5), |_, _| ())),
        ErrorCode::Argument
    );
    for time in [
        Duration::ZERO,
        Duration::from_millis(3_600_001),
        Duration::MAX,
    ] {
        assert_eq!(
            code(probe.set_timeout(time)),
            ErrorCode::Argument,
            "{time:?}"
        );
        assert_eq!(
            code(probe.set_response_timeout(time)),
            ErrorCode::Argument,
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
    assert_eq!(error.code(), ErrorCode::Argument);
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
        assert_eq!(error.code(), ErrorCode::Cancelled);
        thread.join().unwrap();
    }
}

#[test]
fn cancel_before_and_after() {
    let server = Server::start();
    let mut probe = probe_of(&server.name());
    let canceller = probe.canceller();
    canceller.cancel();
    assert_eq!(code(probe.run()), ErrorCode::Cancelled);
    probe.run().unwrap();
    drop(probe);
    canceller.cancel();
    canceller.clone().cancel();
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
    assert_eq!(within(PROMPTLY, || code(probe.run())), ErrorCode::Cancelled);
}

#[test]
fn probes_move_between_threads_and_run_in_parallel() {
    let server = Server::start();
    let name = server.name();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let mut probe = probe_of(&name);
            thread::spawn(move || {
                let verdict = probe.run();
                (probe, verdict)
            })
        })
        .collect();
    for thread in threads {
        let (mut probe, verdict) = thread.join().unwrap();
        assert_eq!(verdict.unwrap().nat_type, NatType::OpenInternet);
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
    let alive = std::sync::Arc::new(());
    for _ in 0..3 {
        let (a, b, c) = (alive.clone(), alive.clone(), alive.clone());
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        probe
            .set_log(LogLevel::Info, move |_, _| drop(a.clone()))
            .unwrap();
        probe.set_events(move |_| drop(b.clone())).unwrap();
        probe
            .set_socket(socket, move |_, _| drop(c.clone()))
            .unwrap();
        assert_eq!(std::sync::Arc::strong_count(&alive), 4);
    }
    probe.clear_log().unwrap();
    probe.set_source(None, 0).unwrap();
    assert_eq!(std::sync::Arc::strong_count(&alive), 2);
    drop(probe);
    assert_eq!(std::sync::Arc::strong_count(&alive), 1);
}

#[test]
fn from_a_socket_of_the_callers() {
    let server = Server::start();
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, free_port(21_000))).unwrap();
    let addr = socket.local_addr().unwrap();
    let received = Shared::new();
    let inbox = received.clone();
    let mut probe = probe_of(&server.name());
    probe
        .set_socket(&socket, move |data, from| inbox.push((data.to_vec(), from)))
        .unwrap();
    let sender = send_hellos(addr.port(), 20);
    let verdict = probe.run().unwrap();
    assert_eq!(verdict.nat_type, NatType::OpenInternet);
    assert_eq!(verdict.external_port, Some(addr.port()));

    let mut got = received.take();
    got.extend(left_in(&socket));
    let hellos: Vec<_> = (0..20)
        .map(|i| (format!("hello {i}").into_bytes(), sender))
        .collect();
    assert_eq!(got, hellos);

    // The probe's own duplicate holds the port until it is taken back.
    drop(socket);
    assert!(UdpSocket::bind(addr).is_err());
    probe.clear_socket().unwrap();
    UdpSocket::bind(addr).unwrap();
    assert_ne!(probe.run().unwrap().local_port, Some(addr.port()));
}

#[test]
fn datagrams_of_ipv6() {
    let socket = match UdpSocket::bind("[::1]:0") {
        Ok(socket) => socket,
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
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
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
    let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
    connected.connect("127.0.0.1:9").unwrap();
    assert_eq!(
        code(probe.set_socket(&connected, |_, _| ())),
        ErrorCode::Argument
    );
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(code(probe.set_socket(&tcp, |_, _| ())), ErrorCode::Argument);
    let file = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(
        code(probe.set_socket(&file, |_, _| ())),
        ErrorCode::Argument
    );
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
