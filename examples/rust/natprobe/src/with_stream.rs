// SPDX-License-Identifier: MIT
//! Checks as streams.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::stream::{FusedStream, Stream};
use tokio::io::unix::AsyncFd;

use crate::with_tokio::{watch, watch_failed};
use crate::{Error, Event, NatResult, Probe, Running};

/// What a [`ProgressStream`] yields.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(docsrs, doc(cfg(feature = "stream")))]
#[non_exhaustive]
#[allow(clippy::large_enum_variant)] // one item in a check is that large: no allocation for each event
pub enum Progress {
    /// Something happened.
    Event(Event),
    /// The check is over. It is the last item.
    Done(NatResult),
}

/// The events of one check and, last of all, its result or why there is none.
///
/// Dropping it gives the check up.
#[derive(Debug)]
#[cfg_attr(docsrs, doc(cfg(feature = "stream")))]
#[must_use = "dropping it gives the check up"]
pub struct ProgressStream<'a> {
    running: AsyncFd<Running<&'a mut Probe>>,
    state: State,
}

#[derive(Debug)]
enum State {
    GoesOn,
    /// There may be events left that come first. It is boxed because it is larger than all the rest.
    Over(Box<Result<NatResult, Error>>),
    Told,
}

impl Probe {
    /// As `run_async`, with the events on the way. The closure of [`set_events`](Self::set_events)
    /// is called as well.
    ///
    /// # Errors
    /// As [`start`](Self::start). Whatever goes wrong from there on is the last item.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or in one without IO.
    #[cfg_attr(docsrs, doc(cfg(feature = "stream")))]
    pub fn run_stream(&mut self) -> Result<ProgressStream<'_>, Error> {
        self.watch_events()?;
        self.callbacks().queue_next_run = true;
        Ok(ProgressStream {
            running: watch(self.start()?)?,
            state: State::GoesOn,
        })
    }
}

impl ProgressStream<'_> {
    fn next_item(&mut self) -> Option<Result<Progress, Error>> {
        if let Some(event) = self.running.get_mut().next_event() {
            return Some(Ok(Progress::Event(event)));
        }
        match std::mem::replace(&mut self.state, State::Told) {
            State::Over(outcome) => Some(outcome.map(Progress::Done)),
            state => {
                self.state = state;
                None
            }
        }
    }
}

impl Stream for ProgressStream<'_> {
    type Item = Result<Progress, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(item) = this.next_item() {
                return Poll::Ready(Some(item));
            }
            if this.is_terminated() {
                return Poll::Ready(None);
            }
            let mut guard = match this.running.poll_read_ready_mut(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(guard)) => guard,
                Poll::Ready(Err(error)) => {
                    this.state = State::Over(Box::new(Err(watch_failed(error))));
                    continue;
                }
            };
            if let Poll::Ready(outcome) = guard.get_inner_mut().process() {
                this.state = State::Over(Box::new(outcome));
            } else if !guard.get_inner().is_ready() {
                guard.clear_ready();
            }
        }
    }
}

impl FusedStream for ProgressStream<'_> {
    fn is_terminated(&self) -> bool {
        matches!(self.state, State::Told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody would ever take them out.
    #[test]
    fn events_of_other_runs_are_not_kept() {
        let mut probe = Probe::new().unwrap();
        probe
            .add_server("127.0.0.1:9")
            .unwrap()
            .set_timeout(std::time::Duration::from_millis(50))
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async { drop(probe.run_stream().unwrap()) });
        probe.run().unwrap_err();
        assert!(probe.callbacks().queue.is_none());

        // Nor those of a run that never was.
        runtime.block_on(async {
            probe
                .set_socket(
                    &std::sync::Arc::new(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()),
                    |_, _| (),
                )
                .unwrap();
            probe.run_stream().unwrap_err();
        });
        probe.clear_socket().unwrap();
        drop(probe.start().unwrap());
        assert!(probe.callbacks().queue.is_none());
    }
}
