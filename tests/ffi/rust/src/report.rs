// SPDX-License-Identifier: MIT
//! The JSON object that `natprobe --json` prints.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use natprobe::Verdict;
use tinyjson::JsonValue;

use crate::{Ending, Outcome};

pub fn print(outcome: &Outcome) -> Ending {
    let (status, verdict) = match outcome {
        Ok(verdict) => ("ok", Some(verdict)),
        Err(error) => (error.name(), error.partial()),
    };
    match verdict {
        Some(verdict) => println!("{}", object(status, verdict)),
        None => return Ending::Misbehaved(format!("no result with {outcome:?}")),
    }
    match outcome {
        Ok(_) => Ending::Verdict,
        Err(error) => Ending::NoVerdict(error.to_string()),
    }
}

fn object(status: &str, verdict: &Verdict) -> String {
    let entries = [
        ("status", text(status)),
        ("nat_type", text(verdict.nat_type.name())),
        ("mapping", text(verdict.mapping.name())),
        ("filtering", text(verdict.filtering.name())),
        (
            "external_ip",
            known(verdict.external_ip.as_ref().map(IpAddr::to_string), text),
        ),
        ("external_port", known(verdict.external_port, number)),
        (
            "local_ip",
            known(verdict.local_ip.as_ref().map(IpAddr::to_string), text),
        ),
        ("local_port", known(verdict.local_port, number)),
        (
            "server",
            known(verdict.server.map(|server| server.to_string()), text),
        ),
        ("rtt_ms", known(verdict.rtt, milliseconds)),
        ("elapsed_ms", milliseconds(verdict.elapsed)),
        ("packets_sent", number(verdict.packets_sent)),
        ("packets_received", number(verdict.packets_received)),
        (
            "evidence",
            verdict
                .evidence
                .names()
                .map(text)
                .collect::<Vec<_>>()
                .into(),
        ),
        ("detail", text(verdict.detail.as_str())),
    ];
    let entries: HashMap<_, _> = entries.map(|(key, value)| (key.to_owned(), value)).into();
    JsonValue::from(entries)
        .stringify()
        .expect("all numbers are finite")
}

fn text(text: impl Into<String>) -> JsonValue {
    JsonValue::String(text.into())
}

fn number(number: impl Into<f64>) -> JsonValue {
    JsonValue::Number(number.into())
}

fn milliseconds(time: Duration) -> JsonValue {
    number(time.as_micros() as f64 / 1000.0)
}

fn known<T>(value: Option<T>, to_json: impl FnOnce(T) -> JsonValue) -> JsonValue {
    value.map_or(JsonValue::Null, to_json)
}
