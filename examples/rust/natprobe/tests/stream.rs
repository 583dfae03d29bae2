// SPDX-License-Identifier: MIT
//! Checks as streams, over loopback.

mod support;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::stream::{FusedStream, Stream};
use natprobe::{Error, ErrorKind, Event, EventKind, NatType, Progress, ProgressStream};
use support::{on_one_thread, probe_of, silent_server, Server, Shared};
use tokio::time;

/// `StreamExt::next()`.
struct Next<'a, 'b>(&'a mut ProgressStream<'b>);

impl Future for Next<'_, '_> {
    type Output = Option<Result<Progress, Error>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut *self.0).poll_next(context)
    }
}

fn next<'a, 'b>(stream: &'a mut ProgressStream<'b>) -> Next<'a, 'b> {
    Next(stream)
}

#[test]
fn events_then_the_result_then_nothing() {
    let server = Server::start();
    let mut probe = probe_of(&server.name());
    let told = Shared::new();
    let also = told.clone();
    probe
        .set_events(move |event| also.push(event.clone()))
        .unwrap();
    on_one_thread(async {
        let mut stream = probe.run_stream().unwrap();
        let mut events = Vec::new();
        let result = loop {
            match next(&mut stream).await.unwrap().unwrap() {
                Progress::Event(event) => events.push(event),
                Progress::Done(result) => break result,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(result.nat_type, NatType::OpenInternet);
        assert!(matches!(
            events.last().unwrap().kind,
            EventKind::Finished {
                outcome: Ok(NatType::OpenInternet),
                ..
            }
        ));
        let sent = |event: &&Event| matches!(event.kind, EventKind::Sent { .. });
        assert_eq!(
            events.iter().filter(sent).count(),
            result.packets_sent as usize
        );
        assert!(stream.is_terminated());
        assert!(next(&mut stream).await.is_none());
        assert_eq!(told.take(), events);
    });
    assert_eq!(probe.run().unwrap().nat_type, NatType::OpenInternet);
}

#[test]
fn an_error_is_the_last_item() {
    let (_server, name) = silent_server();
    let mut probe = probe_of(&name);
    probe
        .set_response_timeout(Duration::from_millis(200))
        .unwrap();
    on_one_thread(async {
        let mut stream = probe.run_stream().unwrap();
        let error = loop {
            if let Err(error) = next(&mut stream).await.unwrap() {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::NoResponse);
        assert!(next(&mut stream).await.is_none());
    });
}

#[test]
fn dropping_it_gives_the_check_up() {
    let (_silent, silent) = silent_server();
    let server = Server::start();
    let mut probe = probe_of(&silent);
    on_one_thread(async {
        let mut stream = probe.run_stream().unwrap();
        let limit = Duration::from_millis(100);
        time::timeout(limit, async { while next(&mut stream).await.is_some() {} })
            .await
            .unwrap_err();
    });
    probe
        .clear_servers()
        .unwrap()
        .add_server(&server.name())
        .unwrap();
    on_one_thread(async {
        // Nothing of the check before is told.
        let mut stream = probe.run_stream().unwrap();
        let result = loop {
            match next(&mut stream).await.unwrap().unwrap() {
                Progress::Done(result) => break result,
                Progress::Event(event) => assert!(!matches!(
                    event.kind,
                    EventKind::Finished {
                        outcome: Err(_),
                        ..
                    }
                )),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(result.nat_type, NatType::OpenInternet);
    });
}
