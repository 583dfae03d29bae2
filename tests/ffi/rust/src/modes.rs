// SPDX-License-Identifier: MIT
//! The modes that run checks. What they return as an error is the binding's fault, not the
//! network's.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use natprobe::{check_nat, check_nat_and_log};
use natprobe::{ErrorKind, EventKind, Family, LogLevel, Probe, Tests};
use tokio::{runtime, task, time};

use crate::options::Options;
use crate::Outcome;

const CANCEL_AFTER: Duration = Duration::from_millis(200);
const PROMPTLY: Duration = Duration::from_millis(1500);
const TICK: Duration = Duration::from_millis(5);
const HELLOS: usize = 5;

type Checked = Result<Outcome, String>;

fn require(condition: bool, problem: impl FnOnce() -> String) -> Result<(), String> {
    condition.then_some(()).ok_or_else(problem)
}

fn text(error: natprobe::Error) -> String {
    error.to_string()
}

fn probe(options: &Options) -> Result<Probe, natprobe::Error> {
    let mut probe = Probe::new()?;
    probe.set_source(None, options.port)?;
    for server in &options.servers {
        probe.add_server(server)?;
    }
    if options.ipv6 {
        probe.set_family(Family::Ipv6)?;
    }
    if options.mapping_only {
        probe.set_tests(Tests::MAPPING)?;
    }
    Ok(probe)
}

/// How often the closures of a probe were called.
#[derive(Clone, Default)]
struct Counts(Arc<[AtomicUsize; 4]>);

impl Counts {
    const LINES: usize = 3;

    fn of(&self, kind: usize) -> usize {
        self.0[kind].load(Ordering::Relaxed)
    }

    fn attach(&self, probe: &mut Probe) -> Result<(), natprobe::Error> {
        let (lines, events) = (self.clone(), self.clone());
        probe
            .set_log(LogLevel::Debug, move |_, _| lines.count(Self::LINES))?
            .set_events(move |event| match event.kind {
                EventKind::Sent { .. } => events.count(0),
                EventKind::Answered { .. } => events.count(1),
                EventKind::Finished { .. } => events.count(2),
                _ => {}
            })?;
        Ok(())
    }

    fn count(&self, kind: usize) {
        self.0[kind].fetch_add(1, Ordering::Relaxed);
    }

    fn judge(&self, outcome: &Outcome) -> Result<(), String> {
        let sent = match outcome {
            Ok(result) => result.packets_sent,
            Err(error) => error.partial().map_or(0, |partial| partial.packets_sent),
        } as usize;
        require(self.of(0) == sent, || {
            format!("{} events of {sent} packets sent", self.of(0))
        })?;
        require(outcome.is_err() || self.of(1) > 0, || {
            "no event of an answer".into()
        })?;
        require(self.of(2) == 1, || "no event of the end".into())?;
        require(self.of(Self::LINES) > 0 || sent == 0, || {
            "nothing was logged".into()
        })
    }
}

pub fn blocking(options: &Options) -> Checked {
    let counts = Counts::default();
    let mut probe = probe(options).map_err(text)?;
    counts.attach(&mut probe).map_err(text)?;
    let outcome = probe.run();
    counts.judge(&outcome)?;
    Ok(outcome)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("there is a runtime").block_on(future)
}

/// Counts what an event loop gets done beside a check.
async fn ticker(ticks: Arc<AtomicUsize>) {
    loop {
        time::sleep(TICK).await;
        ticks.fetch_add(1, Ordering::Relaxed);
    }
}

async fn beside_a_ticker<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let ticks = Arc::new(AtomicUsize::new(0));
    let ticker = task::spawn(ticker(Arc::clone(&ticks)));
    let start = Instant::now();
    let value = future.await;
    ticker.abort();
    // A busy machine may halve them a few times over; a call that blocks leaves none.
    let due = start.elapsed().as_millis() / TICK.as_millis() / 8;
    let ticks = ticks.load(Ordering::Relaxed);
    require(ticks as u128 >= due, || {
        format!("the event loop was blocked: {ticks} ticks, {due} due")
    })?;
    Ok(value)
}

pub fn in_event_loop(options: &Options) -> Checked {
    let counts = Counts::default();
    let mut probe = probe(options).map_err(text)?;
    counts.attach(&mut probe).map_err(text)?;
    let outcome = block_on(beside_a_ticker(probe.run_async()))?;
    counts.judge(&outcome)?;
    Ok(outcome)
}

type Datagrams = Vec<(Vec<u8>, SocketAddr)>;

/// Datagrams of all sizes: none, a few bytes, and nearly the largest there is.
fn hello(number: usize) -> Vec<u8> {
    match number {
        1 => Vec::new(),
        3 => vec![3; 60_000],
        _ => format!("hello {number}").into_bytes(),
    }
}

/// Sends datagrams to the socket over loopback, and gives them as they should be received.
fn say_hello(options: &Options) -> io::Result<Datagrams> {
    let sender = UdpSocket::bind((options.loopback(), 0))?;
    let from = sender.local_addr()?;
    let hellos: Vec<_> = (0..HELLOS).map(hello).collect();
    for hello in &hellos {
        sender.send_to(hello, (options.loopback(), options.port))?;
    }
    Ok(hellos.into_iter().map(|hello| (hello, from)).collect())
}

/// What the library has left in the socket.
fn read_rest(socket: &UdpSocket) -> io::Result<Datagrams> {
    let mut room = [0; 65536];
    let mut rest = Vec::new();
    socket.set_nonblocking(true)?;
    loop {
        match socket.recv_from(&mut room) {
            Ok((size, from)) => rest.push((room[..size].to_vec(), from)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(rest),
            Err(error) => return Err(error),
        }
    }
}

pub fn socket(options: &Options) -> Checked {
    let failed = |error: io::Error| error.to_string();
    let socket = UdpSocket::bind((options.any_address(), options.port)).map_err(failed)?;
    let socket = Arc::new(socket);
    let received = Arc::new(Mutex::new(Datagrams::new()));
    let inbox = Arc::clone(&received);
    let mut probe = probe(options).map_err(text)?;
    probe
        .set_socket(&socket, move |data, from| {
            inbox.lock().unwrap().push((data.to_vec(), from))
        })
        .map_err(text)?;
    let sent = say_hello(options).map_err(failed)?;
    let outcome = probe.run();

    let mut got = std::mem::take(&mut *received.lock().unwrap());
    got.extend(read_rest(&socket).map_err(failed)?);
    // Late answers of servers may be among it.
    got.retain(|(_, from)| from.ip() == options.loopback());
    require(got == sent, || {
        format!("sent {sent:?}, but received {got:?}")
    })?;
    Ok(outcome)
}

fn judge_cancelled(outcome: &Outcome, took: Duration) -> Result<(), String> {
    let cancelled = matches!(outcome, Err(error) if error.kind() == ErrorKind::Cancelled);
    require(cancelled, || {
        format!("cancelled, but the outcome is {outcome:?}")
    })?;
    require(took < CANCEL_AFTER + PROMPTLY, || {
        format!("cancelled, but it took {took:?}")
    })
}

fn cancel_from_a_thread(options: &Options) -> Checked {
    let mut probe = probe(options).map_err(text)?;
    let canceller = probe.canceller();
    let start = Instant::now();
    let thread = thread::spawn(move || {
        thread::sleep(CANCEL_AFTER);
        canceller.cancel();
    });
    let outcome = probe.run();
    judge_cancelled(&outcome, start.elapsed())?;
    thread
        .join()
        .map_err(|_| "cancelling panicked".to_owned())?;
    Ok(outcome)
}

async fn cancel_from_a_task(options: &Options) -> Checked {
    let mut probe = probe(options).map_err(text)?;
    let canceller = probe.canceller();
    let start = Instant::now();
    task::spawn(async move {
        time::sleep(CANCEL_AFTER).await;
        canceller.cancel();
    });
    let outcome = probe.run_async().await;
    judge_cancelled(&outcome, start.elapsed())?;
    Ok(outcome)
}

/// What tokio itself calls cancelling: the future is dropped. The source port has to be free at
/// once.
async fn drop_the_future(options: &Options) -> Result<(), String> {
    let mut probe = probe(options).map_err(text)?;
    let timed_out = time::timeout(CANCEL_AFTER, probe.run_async())
        .await
        .is_err();
    require(timed_out, || "the check was over before its time".into())
}

pub fn cancel(options: &Options) -> Checked {
    cancel_from_a_thread(options)?.err();
    block_on(async {
        drop_the_future(options).await?;
        cancel_from_a_task(options).await
    })
}

pub fn default(options: &Options) -> Checked {
    let source = options.ipv6.then(|| options.any_address());
    let mut lines = 0;
    let logged = check_nat_and_log(source, options.port, |_, _| lines += 1);
    require(lines > 0, || "nothing was logged".into())?;
    let outcome = check_nat(source, options.port);
    require(logged.is_ok() == outcome.is_ok(), || {
        format!("one call says {logged:?}, the other {outcome:?}")
    })?;
    Ok(outcome)
}
