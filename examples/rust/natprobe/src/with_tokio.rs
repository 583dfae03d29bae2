// SPDX-License-Identifier: MIT
//! Checks as futures of tokio's.

use std::task::Poll;

use tokio::io::unix::AsyncFd;
use tokio::io::Interest;
use tokio::task::yield_now;

use crate::{Error, NatResult, Probe, Running};

impl Probe {
    /// As [`run`](Self::run), without blocking: any number of probes can be run at once by one
    /// thread. Dropping the future gives the check up, so that `tokio::time::timeout` and `select!`
    /// do what they should.
    ///
    /// # Errors
    /// Why there is no result, with what is known all the same.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or in one without IO.
    #[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
    pub async fn run_async(&mut self) -> Result<NatResult, Error> {
        let mut running = watch(self.start()?)?;
        loop {
            let mut guard = running.readable_mut().await.map_err(watch_failed)?;
            if let Poll::Ready(outcome) = guard.get_inner_mut().process() {
                return outcome;
            }
            // tokio tells of changes only: as long as there is more to do, it is not to be waited
            // for.
            if guard.get_inner().is_ready() {
                yield_now().await;
            } else {
                guard.clear_ready();
            }
        }
    }
}

// Deprecated by newer versions of tokio, because not everything keeps its descriptor open; older ones
// have nothing else. Here the probe keeps it open, and the guard the probe.
#[allow(deprecated)]
pub(crate) fn watch(running: Running<&mut Probe>) -> Result<AsyncFd<Running<&mut Probe>>, Error> {
    AsyncFd::with_interest(running, Interest::READABLE).map_err(watch_failed)
}

pub(crate) fn watch_failed(error: std::io::Error) -> Error {
    Error::from_io(error, "the check cannot be watched")
}
