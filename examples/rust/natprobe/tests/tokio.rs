// SPDX-License-Identifier: MIT
//! Checks as futures, over loopback.

mod support;

use std::future::Future;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use natprobe::{ErrorKind, NatType};
use support::{on_one_thread, probe_of, send_hellos, silent_server, within, Server, Shared};
use tokio::{runtime, task, time};

const PROMPTLY: Duration = Duration::from_secs(2);

fn on_threads<T>(future: impl Future<Output = T>) -> T {
    runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

async fn fifty_at_once(name: String) {
    let checks: Vec<_> = (0..50)
        .map(|_| {
            let mut probe = probe_of(&name);
            task::spawn(async move {
                let result = probe.run_async().await;
                (probe, result)
            })
        })
        .collect();
    for check in checks {
        let (mut probe, result) = check.await.unwrap();
        assert_eq!(result.unwrap().nat_type, NatType::OpenInternet);
        probe.set_timeout(PROMPTLY).unwrap();
    }
}

#[test]
fn fifty_on_one_thread() {
    let server = Server::start();
    on_one_thread(fifty_at_once(server.name()));
}

#[test]
fn fifty_on_threads() {
    let server = Server::start();
    on_threads(fifty_at_once(server.name()));
}

#[test]
fn nothing_blocks() {
    let (_server, name) = silent_server();
    let mut probe = probe_of(&name);
    probe
        .set_response_timeout(Duration::from_millis(500))
        .unwrap();
    let ticks = on_one_thread(async {
        let ticker = task::spawn(async {
            let mut ticks = 0;
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(450) {
                time::sleep(Duration::from_millis(5)).await;
                ticks += 1;
            }
            ticks
        });
        assert_eq!(
            probe.run_async().await.unwrap_err().kind(),
            ErrorKind::NoResponse
        );
        ticker.await.unwrap()
    });
    assert!(ticks > 4, "{ticks} ticks");
}

#[test]
fn timeout_gives_the_check_up() {
    let server = Server::start();
    let (_silent, silent) = silent_server();
    let mut probe = probe_of(&silent);
    on_one_thread(async {
        let limit = Duration::from_millis(100);
        time::timeout(limit, probe.run_async()).await.unwrap_err();
        probe
            .clear_servers()
            .unwrap()
            .add_server(&server.name())
            .unwrap();
        assert_eq!(
            probe.run_async().await.unwrap().nat_type,
            NatType::OpenInternet
        );
    });
    assert_eq!(probe.run().unwrap().nat_type, NatType::OpenInternet);
}

#[test]
fn cancel_from_a_task() {
    let (_server, name) = silent_server();
    let mut probe = probe_of(&name);
    let canceller = probe.canceller();
    let error = within(PROMPTLY, || {
        on_one_thread(async {
            task::spawn(async move {
                time::sleep(Duration::from_millis(200)).await;
                canceller.cancel();
            });
            probe.run_async().await.unwrap_err()
        })
    });
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[test]
fn panic_in_a_closure_ends_the_task() {
    let server = Server::start();
    let mut probe = probe_of(&server.name());
    probe.set_events(|_| panic!("in an event")).unwrap();
    on_one_thread(async {
        let check = task::spawn(async move { probe.run_async().await });
        assert!(check.await.unwrap_err().is_panic());
    });
}

/// More datagrams than the library reads at one go, so that its descriptor stays readable after a
/// turn.
#[test]
fn from_a_socket_with_many_datagrams() {
    let server = Server::start();
    let socket = Arc::new(UdpSocket::bind("0.0.0.0:0").unwrap());
    let received = Shared::new();
    let inbox = received.clone();
    let mut probe = probe_of(&server.name());
    probe
        .set_socket(&socket, move |data, _| inbox.push(data.to_vec()))
        .unwrap();
    send_hellos(socket.local_addr().unwrap().port(), 100);
    let result = within(PROMPTLY, || on_one_thread(probe.run_async())).unwrap();
    assert_eq!(result.nat_type, NatType::OpenInternet);
    let hellos: Vec<_> = (0..100)
        .map(|i| format!("hello {i}").into_bytes())
        .collect();
    assert_eq!(received.take(), hellos);
}
