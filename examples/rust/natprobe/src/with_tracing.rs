// SPDX-License-Identifier: MIT
//! The log as events of `tracing`.

use crate::{Error, LogLevel, Probe};

impl Probe {
    /// Sends log lines up to a level to `tracing`, with the target "natprobe", from within the
    /// methods that run the check. It takes the place of [`set_log`](Self::set_log);
    /// [`clear_log`](Self::clear_log) takes it back.
    ///
    /// # Errors
    /// As [`set_log`](Self::set_log).
    #[cfg_attr(docsrs, doc(cfg(feature = "tracing")))]
    pub fn set_tracing(&mut self, level: LogLevel) -> Result<&mut Self, Error> {
        self.set_log(level, trace)
    }
}

/// Every level has a place in the program that `tracing` knows.
fn trace(level: LogLevel, line: &str) {
    match level {
        LogLevel::Error => tracing::error!(target: "natprobe", "{line}"),
        LogLevel::Warning => tracing::warn!(target: "natprobe", "{line}"),
        LogLevel::Info => tracing::info!(target: "natprobe", "{line}"),
        LogLevel::Debug => tracing::debug!(target: "natprobe", "{line}"),
        LogLevel::Other(_) => tracing::trace!(target: "natprobe", "{line}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::net::UdpSocket;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tracing::field::{Field, Visit};
    use tracing::{span, Event, Level, Metadata, Subscriber};

    use super::*;

    type Lines = Arc<Mutex<Vec<(Level, String)>>>;

    struct Keeper(Lines);

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            assert_eq!(field.name(), "message");
            self.0 = format!("{value:?}");
        }
    }

    impl Subscriber for Keeper {
        fn enabled(&self, about: &Metadata<'_>) -> bool {
            about.target() == "natprobe"
        }

        fn event(&self, event: &Event<'_>) {
            let mut line = Line(String::new());
            event.record(&mut line);
            let mut lines = self.0.lock().unwrap();
            lines.push((*event.metadata().level(), line.0));
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    /// What is traced meanwhile in this thread.
    fn traced(work: impl FnOnce()) -> Vec<(Level, String)> {
        let lines = Lines::default();
        tracing::subscriber::with_default(Keeper(Arc::clone(&lines)), work);
        let mut lines = lines.lock().unwrap();
        std::mem::take(&mut lines)
    }

    #[test]
    fn levels_are_those_of_tracing() {
        for (ours, theirs) in [
            (LogLevel::Error, Level::ERROR),
            (LogLevel::Warning, Level::WARN),
            (LogLevel::Info, Level::INFO),
            (LogLevel::Debug, Level::DEBUG),
            (LogLevel::from_raw(9), Level::TRACE),
        ] {
            let lines = traced(|| trace(ours, "a line"));
            assert_eq!(lines, [(theirs, "a line".to_owned())]);
        }
    }

    #[test]
    fn the_lines_of_a_check_are_traced() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut probe = Probe::new().unwrap();
        probe
            .add_server(&silent.local_addr().unwrap().to_string())
            .unwrap()
            .set_timeout(Duration::from_millis(100))
            .unwrap()
            .set_tracing(LogLevel::Debug)
            .unwrap();
        let lines = traced(|| drop(probe.run()));
        assert!(lines
            .iter()
            .any(|(level, line)| *level == Level::DEBUG && line.contains("send")));
        probe.clear_log().unwrap();
        assert_eq!(traced(|| drop(probe.run())), []);
    }
}
