// SPDX-License-Identifier: MIT
//! Every kind of bad input gives the right error, and the probe stays usable.

use std::ffi::c_void;
use std::fs::File;
use std::mem::{self, MaybeUninit};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::io::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use natprobe::{Error, ErrorKind, Family, LogLevel, Probe, Running, Tests, MAX_SERVERS};
use natprobe_sys as sys;

use crate::Ending;

const HOUR: Duration = Duration::from_secs(3600);

/// Counts checks, and keeps what failed.
#[derive(Default)]
struct Checks {
    passed: usize,
    problems: Vec<String>,
}

impl Checks {
    fn check(&mut self, what: &str, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.problems.push(what.to_owned());
        }
    }

    fn accepted<T>(&mut self, what: &str, outcome: Result<T, Error>) {
        match outcome {
            Ok(_) => self.passed += 1,
            Err(error) => self.problems.push(format!("{what}: {error}")),
        }
    }

    fn refused<T>(&mut self, what: &str, wanted: ErrorKind, outcome: Result<T, Error>) {
        match outcome {
            Err(error) if error.kind() == wanted => self.passed += 1,
            Err(error) => self.problems.push(format!("{what}: {error:?}")),
            Ok(_) => self.problems.push(format!("{what} was accepted")),
        }
    }
}

pub fn run() -> Ending {
    let mut checks = Checks::default();
    match check_all(&mut checks) {
        Err(error) => Ending::NoResult(format!("a check could not be made: {error}")),
        Ok(()) if checks.problems.is_empty() => {
            println!("{} checks passed", checks.passed);
            Ending::Result
        }
        Ok(()) => Ending::NoResult(checks.problems.join("; ")),
    }
}

fn check_all(checks: &mut Checks) -> Result<(), Box<dyn std::error::Error>> {
    let mut probe = Probe::new()?;
    check_servers(checks, &mut probe);
    check_interfaces(checks, &mut probe);
    check_values(checks, &mut probe);
    check_times(checks, &mut probe);
    check_sockets(checks, &mut probe)?;
    check_order_of_calls(checks)?;
    check_calls_from_closures(checks)?;
    check_null(checks);
    check_contradictions(checks, &mut probe)?;
    check_usable(checks, &mut probe)
}

fn check_servers(checks: &mut Checks, probe: &mut Probe) {
    let bad = [
        "",
        " ",
        "two words",
        "a\0b",
        "\0",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:",
        "[::1",
        "[::1]:",
        "[localhost]:1",
        "http://127.0.0.1/",
        "stun://127.0.0.1",
        "turn:127.0.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "127.0.0.1:1:2",
        "localhost:port",
    ];
    for server in bad {
        checks.refused(
            &format!("server {server:?}"),
            ErrorKind::Argument,
            probe.add_server(server),
        );
    }
    let long = "a".repeat(100_000);
    checks.refused(
        "a long server name",
        ErrorKind::Argument,
        probe.add_server(&long),
    );
    for i in 0..MAX_SERVERS {
        checks.accepted(&format!("server {i}"), probe.add_server("127.0.0.1"));
    }
    checks.refused(
        "one server too many",
        ErrorKind::Limit,
        probe.add_server("127.0.0.1"),
    );
    checks.accepted("to forget the servers", probe.clear_servers());
    for server in [
        "127.0.0.1",
        "127.0.0.1:3478",
        "::1",
        "[::1]:3478",
        "stun:127.0.0.1",
        "localhost",
    ] {
        checks.accepted(server, probe.add_server(server));
    }
    checks.accepted("to forget the servers again", probe.clear_servers());
}

fn check_interfaces(checks: &mut Checks, probe: &mut Probe) {
    let long = "a".repeat(1000);
    for name in ["", "a\0b", &long] {
        checks.refused(
            &format!("interface {name:.9?}"),
            ErrorKind::Argument,
            probe.set_interface(name),
        );
    }
    checks.accepted("to take no interface back", probe.clear_interface());
}

/// Addresses and ports that are none cannot be written down as `IpAddr` and `u16`; values of C's
/// enums can.
fn check_values(checks: &mut Checks, probe: &mut Probe) {
    for text in ["", "localhost", "1.2.3", "1.2.3.4:5", "::g", "127.0.0.1\0"] {
        checks.check(text, text.parse::<std::net::IpAddr>().is_err());
    }
    for value in [-1, 1, 5, i32::MAX, i32::MIN] {
        let family = probe.set_family(Family::from_raw(value));
        checks.refused(&format!("family {value}"), ErrorKind::Argument, family);
    }
    for value in [-1, 0, 128, 131, 1 << 30, i32::MAX, i32::MIN] {
        let tests = probe.set_tests(Tests::from_bits(value));
        checks.refused(&format!("tests {value}"), ErrorKind::Argument, tests);
    }
    for value in [-1, 0, 5, i32::MAX] {
        let level = probe.set_log(LogLevel::from_raw(value), |_, _| ());
        checks.refused(&format!("log level {value}"), ErrorKind::Argument, level);
    }
    checks.accepted("family any", probe.set_family(Family::Any));
    checks.accepted(
        "the filtering, which brings the mapping",
        probe.set_tests(Tests::FILTERING),
    );
    checks.accepted("the tests by default", probe.set_tests(Tests::DEFAULT));
}

fn check_times(checks: &mut Checks, probe: &mut Probe) {
    for time in [
        Duration::ZERO,
        HOUR + Duration::from_nanos(1),
        Duration::from_secs(1 << 32),
        Duration::MAX,
    ] {
        checks.refused(
            &format!("timeout {time:?}"),
            ErrorKind::Argument,
            probe.set_timeout(time),
        );
        let response = probe.set_response_timeout(time);
        checks.refused(
            &format!("response timeout {time:?}"),
            ErrorKind::Argument,
            response,
        );
    }
    for time in [HOUR, Duration::from_nanos(1)] {
        checks.accepted(&format!("timeout {time:?}"), probe.set_timeout(time));
        checks.accepted(
            &format!("response timeout {time:?}"),
            probe.set_response_timeout(time),
        );
    }
}

/// A socket as `socket()` makes it, bound to nothing.
fn unbound_udp() -> std::io::Result<OwnedFd> {
    // SAFETY: plain numbers; the new descriptor is owned by nobody else.
    unsafe {
        match libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0) {
            -1 => Err(std::io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

fn check_sockets(checks: &mut Checks, probe: &mut Probe) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let stream = TcpStream::connect(listener.local_addr()?)?;
    let good = UdpSocket::bind("127.0.0.1:0")?;
    let connected = UdpSocket::bind("127.0.0.1:0")?;
    connected.connect(good.local_addr()?)?;
    let bad: [(&str, OwnedFd); 6] = [
        ("a file", File::open("/dev/null")?.into()),
        ("a TCP listener", listener.into()),
        ("a TCP connection", stream.into()),
        ("a Unix socket", UnixDatagram::unbound()?.into()),
        ("an unbound socket", unbound_udp()?),
        ("a connected socket", connected.into()),
    ];
    for (what, socket) in bad {
        checks.refused(
            what,
            ErrorKind::Argument,
            probe.set_socket(&Arc::new(socket), |_, _| ()),
        );
    }
    checks.accepted(
        "a bound socket",
        probe.set_socket(&Arc::new(good), |_, _| ()),
    );
    checks.accepted("to take the socket back", probe.clear_socket());
    checks.accepted("to take no socket back", probe.clear_socket());
    Ok(())
}

/// A server that is never answered by: a socket of our own.
fn silent_probe() -> Result<(UdpSocket, Probe), Box<dyn std::error::Error>> {
    let silent = UdpSocket::bind("127.0.0.1:0")?;
    let mut probe = Probe::new()?;
    probe.add_server(&silent.local_addr()?.to_string())?;
    Ok((silent, probe))
}

/// One turn in C, which the safe interface gives to a check that was started only.
fn process_raw(probe: &Probe) -> i32 {
    let mut result = MaybeUninit::uninit();
    // SAFETY: the probe is alive.
    unsafe { sys::np_probe_process(probe.as_ptr().cast(), result.as_mut_ptr()) }
}

fn check_order_of_calls(checks: &mut Checks) -> Result<(), Box<dyn std::error::Error>> {
    let (_silent, mut probe) = silent_probe()?;
    checks.check(
        "process before start",
        process_raw(&probe) == sys::NP_ERR_ARGUMENT,
    );
    // SAFETY: the probe is alive.
    checks.check(
        "no descriptor before start",
        unsafe { sys::np_probe_fd(probe.as_ptr().cast()) } == -1,
    );

    // While the guard lives, the compiler refuses all this.
    mem::forget(probe.start()?);
    checks.refused(
        "a second start",
        ErrorKind::Busy,
        probe.start().map(mem::forget),
    );
    checks.refused("to run what was started", ErrorKind::Busy, probe.run());
    check_settings_are_busy(checks, &mut probe)?;
    probe.canceller().cancel();
    checks.check(
        "process when cancelled",
        process_raw(&probe) == sys::NP_ERR_CANCELLED,
    );
    checks.check(
        "process after the end",
        process_raw(&probe) == sys::NP_ERR_ARGUMENT,
    );
    checks.accepted("a setting after that", probe.set_timeout(HOUR));

    let running = Running::start(probe)?;
    let mut probe = running.into_probe();
    checks.accepted(
        "a setting of a probe that came back",
        probe.set_timeout(HOUR),
    );
    Ok(())
}

fn check_settings_are_busy(checks: &mut Checks, probe: &mut Probe) -> std::io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let busy = ErrorKind::Busy;
    checks.refused("source while running", busy, probe.set_source(None, 0));
    checks.refused(
        "socket while running",
        busy,
        probe.set_socket(&Arc::new(socket), |_, _| ()),
    );
    checks.refused("no socket while running", busy, probe.clear_socket());
    checks.refused("interface while running", busy, probe.set_interface("lo"));
    checks.refused("no interface while running", busy, probe.clear_interface());
    checks.refused("server while running", busy, probe.add_server("127.0.0.1"));
    checks.refused("no servers while running", busy, probe.clear_servers());
    checks.refused("family while running", busy, probe.set_family(Family::Any));
    checks.refused("tests while running", busy, probe.set_tests(Tests::DEFAULT));
    checks.refused("timeout while running", busy, probe.set_timeout(HOUR));
    checks.refused(
        "response timeout while running",
        busy,
        probe.set_response_timeout(HOUR),
    );
    checks.refused(
        "log while running",
        busy,
        probe.set_log(LogLevel::Info, |_, _| ()),
    );
    checks.refused("no log while running", busy, probe.clear_log());
    checks.refused("events while running", busy, probe.set_events(|_| ()));
    checks.refused("no events while running", busy, probe.clear_events());
    Ok(())
}

/// The address of a probe, for a closure that does what the safe interface leaves no way to do.
struct Raw(*mut sys::np_probe);
// SAFETY: it is used in the thread that runs the probe.
unsafe impl Send for Raw {}

impl Raw {
    fn all_is_busy(&self) -> bool {
        let mut result = MaybeUninit::uninit();
        // SAFETY: the probe is alive, being the one that is calling.
        let codes = unsafe {
            [
                sys::np_probe_set_timeout(self.0, 1000),
                sys::np_probe_set_source(self.0, std::ptr::null(), 0),
                sys::np_probe_clear_servers(self.0),
                sys::np_probe_start(self.0),
                sys::np_probe_run(self.0, result.as_mut_ptr()),
                sys::np_probe_process(self.0, result.as_mut_ptr()),
            ]
        };
        codes == [sys::NP_ERR_BUSY; 6]
    }
}

fn check_calls_from_closures(checks: &mut Checks) -> Result<(), Box<dyn std::error::Error>> {
    let (_silent, mut probe) = silent_probe()?;
    let all_busy = Arc::new(AtomicBool::new(false));
    let (seen, raw, canceller) = (
        Arc::clone(&all_busy),
        Raw(probe.as_ptr().cast()),
        probe.canceller(),
    );
    probe.set_events(move |_| {
        seen.store(raw.all_is_busy(), Ordering::Relaxed);
        canceller.cancel();
    })?;
    checks.refused(
        "cancelled from a closure",
        ErrorKind::Cancelled,
        probe.run(),
    );
    checks.check(
        "all but that is busy in a closure",
        all_busy.load(Ordering::Relaxed),
    );
    Ok(())
}

/// The library itself bears with NULL.
fn check_null(checks: &mut Checks) {
    let null = std::ptr::null_mut();
    let mut result = MaybeUninit::uninit();
    // SAFETY: this is what is allowed with NULL.
    unsafe {
        sys::np_probe_free(null);
        sys::np_probe_cancel(null);
        checks.check("descriptor of NULL", sys::np_probe_fd(null) == -1);
        checks.check(
            "start of NULL",
            sys::np_probe_start(null) == sys::NP_ERR_ARGUMENT,
        );
        checks.check(
            "run of NULL",
            sys::np_probe_run(null, result.as_mut_ptr()) == sys::NP_ERR_ARGUMENT,
        );
        let no_result = sys::np_check_nat(std::ptr::null(), 0, std::ptr::null_mut());
        checks.check("no result", no_result == sys::NP_ERR_ARGUMENT);
        let logged = sys::np_probe_set_log(null, 0, None, std::ptr::null_mut::<c_void>());
        checks.check("log of NULL", logged == sys::NP_ERR_ARGUMENT);
    }
}

fn check_contradictions(checks: &mut Checks, probe: &mut Probe) -> Result<(), Error> {
    let addr = [127, 0, 0, 1].into();
    probe
        .set_timeout(HOUR)?
        .set_source(Some(addr), 0)?
        .set_family(Family::Ipv6)?;
    checks.refused(
        "a source of the other family",
        ErrorKind::Argument,
        probe.run(),
    );
    probe.set_family(Family::Any)?.set_source(None, 0)?;
    Ok(())
}

fn check_usable(checks: &mut Checks, probe: &mut Probe) -> Result<(), Box<dyn std::error::Error>> {
    let silent = UdpSocket::bind("127.0.0.1:0")?;
    let short = Duration::from_millis(100);
    probe
        .add_server(&silent.local_addr()?.to_string())?
        .set_response_timeout(short)?;
    checks.refused("a run after all that", ErrorKind::NoResponse, probe.run());
    Ok(())
}
