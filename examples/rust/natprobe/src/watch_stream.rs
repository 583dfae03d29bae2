// SPDX-License-Identifier: MIT
//! A watch as a stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::stream::{FusedStream, Stream};
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;

use crate::with_tokio::watch_failed;
use crate::{Error, ErrorKind, Watch, WatchStatus};

/// What changes, the first outcome included. It ends after [`WatchCanceller`](crate::WatchCanceller)
/// has cancelled it; any other end is its last item, an error.
#[derive(Debug)]
#[cfg_attr(docsrs, doc(cfg(feature = "stream")))]
#[must_use = "dropping it ends the watch"]
pub struct WatchStream {
    watch: AsyncFd<Watch>,
    is_over: bool,
}

impl Watch {
    /// The watch as a stream.
    ///
    /// # Errors
    /// Where the runtime does not take the descriptor.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or in one without IO.
    // Deprecated by newer versions of tokio, see with_tokio.rs.
    #[allow(deprecated)]
    #[cfg_attr(docsrs, doc(cfg(feature = "stream")))]
    pub fn into_stream(self) -> Result<WatchStream, Error> {
        let watch = AsyncFd::with_interest(self, Interest::READABLE).map_err(watch_failed)?;
        Ok(WatchStream {
            watch,
            is_over: false,
        })
    }
}

impl WatchStream {
    /// The watch, to be asked for its status.
    #[must_use]
    pub fn watch(&self) -> &Watch {
        self.watch.get_ref()
    }

    /// The watch, to be told of a failure.
    pub fn watch_mut(&mut self) -> &mut Watch {
        self.watch.get_mut()
    }

    fn end(&mut self, error: Error) -> Option<Result<WatchStatus, Error>> {
        self.is_over = true;
        (error.kind() != ErrorKind::Cancelled).then_some(Err(error))
    }
}

impl Stream for WatchStream {
    type Item = Result<WatchStatus, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if this.is_over {
                return Poll::Ready(None);
            }
            let mut guard = match this.watch.poll_read_ready_mut(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(guard)) => guard,
                Poll::Ready(Err(error)) => return Poll::Ready(this.end(watch_failed(error))),
            };
            match guard.get_inner_mut().process() {
                Poll::Ready(Ok(status)) => return Poll::Ready(Some(Ok(status))),
                Poll::Ready(Err(error)) => return Poll::Ready(this.end(error)),
                Poll::Pending if !guard.get_inner().is_ready() => guard.clear_ready(),
                Poll::Pending => (),
            }
        }
    }
}

impl FusedStream for WatchStream {
    fn is_terminated(&self) -> bool {
        self.is_over
    }
}
