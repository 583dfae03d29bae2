// SPDX-License-Identifier: MIT
//! The JSON object that `natprobe --json` prints.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use natprobe::NatResult;
use tinyjson::JsonValue;

use crate::{Ending, Outcome};

pub fn print(outcome: &Outcome) -> Ending {
    let (status, result) = match outcome {
        Ok(result) => ("ok", Some(result)),
        Err(error) => (error.name(), error.partial()),
    };
    match result {
        Some(result) => println!("{}", object(status, result)),
        None => return Ending::Misbehaved(format!("no result with {outcome:?}")),
    }
    match outcome {
        Ok(_) => Ending::Result,
        Err(error) => Ending::NoResult(error.to_string()),
    }
}

fn object(status: &str, result: &NatResult) -> String {
    let entries = [
        ("status", text(status)),
        ("nat_type", text(result.nat_type.name())),
        ("mapping", text(result.mapping.name())),
        ("filtering", text(result.filtering.name())),
        (
            "external_ip",
            known(result.external_ip.as_ref().map(IpAddr::to_string), text),
        ),
        ("external_port", known(result.external_port, number)),
        (
            "local_ip",
            known(result.local_ip.as_ref().map(IpAddr::to_string), text),
        ),
        ("local_port", known(result.local_port, number)),
        (
            "server",
            known(result.server.map(|server| server.to_string()), text),
        ),
        ("rtt_ms", known(result.rtt, milliseconds)),
        ("elapsed_ms", milliseconds(result.elapsed)),
        ("packets_sent", number(result.packets_sent)),
        ("packets_received", number(result.packets_received)),
        ("ports_seen", number(result.ports_seen)),
        ("ports_kept", number(result.ports_kept)),
        ("port_step", known(result.port_step, number)),
        ("external_ips", number(result.external_ips)),
        ("local_ips", number(result.local_ips)),
        ("local_class", text(result.local_class.name())),
        (
            "evidence",
            result.evidence.names().map(text).collect::<Vec<_>>().into(),
        ),
        ("detail", text(result.detail.as_str())),
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
