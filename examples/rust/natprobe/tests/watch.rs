// SPDX-License-Identifier: MIT
//! Watches, over loopback.

mod support;

use std::net::UdpSocket;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use natprobe::{Changes, ErrorKind, NatType, Watch, WatchReason, WatchStatus};
use support::{probe_of, silent_server, Server, Shared};

const EVERYTHING: [Changes; 4] = [
    Changes::TYPE,
    Changes::MAPPING,
    Changes::FILTERING,
    Changes::ADDRESS,
];

fn check_first(status: &WatchStatus) {
    let result = status.outcome.as_ref().unwrap();
    assert_eq!(result.nat_type, NatType::OpenInternet);
    assert_eq!(status.reason, WatchReason::Start);
    assert!(EVERYTHING.iter().all(|bit| status.changed.contains(*bit)));
    assert_eq!((status.checks, status.change_count), (1, 1));
    assert_eq!(status.last_error, None);
    assert!(status.age.is_some() && status.filtering_age.is_some() && status.next_check.is_some());
}

#[test]
fn first_verdict_then_nothing() {
    let server = Server::start();
    let mut watch =
        Watch::start(probe_of(&server.name()), natprobe::DEFAULT_WATCH_INTERVAL).unwrap();
    check_first(&watch.wait().unwrap());
    for _ in 0..10 {
        assert!(watch.process().is_pending());
    }
    assert!(!watch.status().is_checking);
    assert!(!watch.is_ready());
}

#[test]
fn failures_make_a_check_due() {
    let server = Server::start();
    let mut watch = Watch::start(probe_of(&server.name()), Duration::ZERO).unwrap();
    watch.wait().unwrap();
    assert_eq!(watch.status().next_check, None);
    watch.note_failure().unwrap();
    assert!(watch.is_ready());
    assert!(watch.process().is_pending());
    assert!(watch.status().next_check.unwrap() <= Duration::from_secs(10));
}

#[test]
fn cancelled_from_another_thread() {
    let (_socket, name) = silent_server();
    let mut watch = Watch::start(probe_of(&name), natprobe::DEFAULT_WATCH_INTERVAL).unwrap();
    assert!(watch.status().is_checking);
    assert_eq!(watch.status().age, None);
    let canceller = watch.canceller();
    let other = thread::spawn(move || canceller.cancel());
    assert_eq!(watch.wait().unwrap_err().kind(), ErrorKind::Cancelled);
    other.join().unwrap();
    assert_eq!(watch.wait().unwrap_err().kind(), ErrorKind::Argument);
    assert_eq!(
        watch.note_failure().unwrap_err().kind(),
        ErrorKind::Argument
    );
    let late = watch.canceller();
    drop(watch);
    late.cancel();
}

#[test]
fn closures_of_the_probe_and_their_panics() {
    let server = Server::start();
    let told = Shared::new();
    let also = told.clone();
    let mut probe = probe_of(&server.name());
    probe
        .set_events(move |event| also.push(event.clone()))
        .unwrap();
    let mut watch = Watch::start(probe, natprobe::DEFAULT_WATCH_INTERVAL).unwrap();
    watch.wait().unwrap();
    assert!(!told.take().is_empty());

    let mut probe = probe_of(&server.name());
    probe.set_events(|_| panic!("on purpose")).unwrap();
    thread::spawn(move || {
        let mut watch = Watch::start(probe, natprobe::DEFAULT_WATCH_INTERVAL)?;
        watch.wait()
    })
    .join()
    .unwrap_err();
}

#[test]
fn a_socket_of_the_callers() {
    let server = Server::start();
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
    let port = socket.local_addr().unwrap().port();
    let mut probe = probe_of(&server.name());
    probe.set_socket(&socket, |_, _| ()).unwrap();
    let mut watch = Watch::start(probe, natprobe::DEFAULT_WATCH_INTERVAL).unwrap();
    drop(socket); // the watch keeps it
    let status = watch.wait().unwrap();
    assert_eq!(status.outcome.unwrap().local().unwrap().port(), port);
}

#[test]
fn refuses() {
    for seconds in [1, 9, 604_801, u64::MAX] {
        let probe = probe_of("127.0.0.1:9");
        let error = Watch::start(probe, Duration::from_secs(seconds)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument, "{seconds}");
    }
    let canceller = probe_of("127.0.0.1:9").canceller();
    let probe = probe_of("127.0.0.1:9");
    let taken = probe.canceller();
    let watch = Watch::start(probe, natprobe::DEFAULT_WATCH_INTERVAL).unwrap();
    taken.cancel(); // of a probe that is the watch's: nothing
    canceller.cancel();
    assert!(watch.status().is_checking);
}

#[test]
fn values_have_names() {
    assert_eq!(WatchReason::Resume.to_string(), "resume");
    assert_eq!(
        "failure".parse::<WatchReason>().unwrap(),
        WatchReason::Failure
    );
    assert_eq!(
        (Changes::TYPE | Changes::ADDRESS).to_string(),
        "type, address"
    );
    assert_eq!("mapping".parse::<Changes>().unwrap(), Changes::MAPPING);
    assert!("weather".parse::<Changes>().is_err());
}

#[cfg(feature = "stream")]
mod stream {
    use super::*;
    use futures_core::stream::{FusedStream, Stream};
    use natprobe::WatchStream;
    use std::future::Future;
    use std::pin::Pin;
    use std::task::Context;
    use support::on_one_thread;

    struct Next<'a>(&'a mut WatchStream);

    impl Future for Next<'_> {
        type Output = Option<Result<WatchStatus, natprobe::Error>>;

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
            Pin::new(&mut *self.0).poll_next(context)
        }
    }

    #[test]
    fn a_watch_as_a_stream() {
        let server = Server::start();
        let probe = probe_of(&server.name());
        on_one_thread(async {
            let watch = Watch::start(probe, natprobe::DEFAULT_WATCH_INTERVAL).unwrap();
            let mut stream = watch.into_stream().unwrap();
            check_first(&Next(&mut stream).await.unwrap().unwrap());
            stream.watch_mut().note_failure().unwrap();
            stream.watch().canceller().cancel();
            assert!(Next(&mut stream).await.is_none());
            assert!(stream.is_terminated());
        });
    }
}
