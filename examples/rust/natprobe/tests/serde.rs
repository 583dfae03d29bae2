// SPDX-License-Identifier: MIT
//! What is reported, as JSON and back.

mod support;

use std::time::Duration;

use natprobe::{
    AddressClass, Behaviour, ErrorKind, Event, Evidence, Family, LogLevel, NatResult, NatType,
    Probe, Purpose, Request, Tests, Tristate,
};
use serde_json::json;
use support::{Server, Shared};

#[test]
fn values_are_names() {
    let json = serde_json::to_value((
        NatType::FullCone,
        NatType::Unknown,
        Behaviour::NoTranslation,
        ErrorKind::NoResponse,
        LogLevel::Debug,
        Family::Ipv4,
        Purpose::Check,
    ));
    assert_eq!(
        json.unwrap(),
        json!([
            "full-cone",
            "unknown",
            "none",
            "no-response",
            "debug",
            "ipv4",
            "check"
        ])
    );
    assert_eq!(
        serde_json::from_value::<Tests>(serde_json::to_value(Tests::MAPPING).unwrap()).unwrap(),
        Tests::MAPPING
    );
}

#[test]
fn values_of_a_newer_library_survive() {
    let read = |json| serde_json::from_value::<NatType>(json);
    assert_eq!(read(json!(77)).unwrap(), NatType::from_raw(77));
    assert_eq!(
        serde_json::to_value(NatType::from_raw(77)).unwrap(),
        json!(77)
    );
    assert_eq!(read(json!("carrier-grade")).unwrap(), NatType::Unknown);
    assert!(read(json!(1.5)).is_err());
    assert!(read(json!(1_u64 << 40)).is_err());

    let evidence = Evidence::ANSWERED | Evidence::from_bits(1 << 31);
    let json = serde_json::to_value(evidence).unwrap();
    assert_eq!(json, json!(["answered", 1_u32 << 31]));
    assert_eq!(serde_json::from_value::<Evidence>(json).unwrap(), evidence);
    let newer = json!(["answered", "sharp-eyed"]);
    assert_eq!(
        serde_json::from_value::<Evidence>(newer).unwrap(),
        Evidence::ANSWERED
    );
    // What no value is called is not written by the library's word for it.
    let request = Request::from_raw(0);
    let json = serde_json::to_value(request).unwrap();
    assert_eq!(json, json!(0));
    assert_eq!(serde_json::from_value::<Request>(json).unwrap(), request);
    // A success is no error.
    assert!(serde_json::from_value::<ErrorKind>(json!(0)).is_err());
    assert!(serde_json::from_value::<ErrorKind>(json!("ok")).is_err());
}

#[test]
fn what_the_program_prints_is_read() {
    let text = r#"{"status": "ok", "nat_type": "port-restricted-cone", "mapping": "endpoint-independent",
        "filtering": "address-and-port-dependent", "external_ip": "198.51.100.6", "external_port": 43141,
        "local_ip": "fe80::1%2", "local_port": 43141, "server": "203.0.113.10:3478", "rtt_ms": 20.124,
        "elapsed_ms": 94.470, "packets_sent": 30, "packets_received": 9,
        "ports_seen": 5, "ports_kept": 2, "port_step": null, "external_ips": 1, "local_ips": 1,
        "local_class": "link-local", "port_open": "yes", "hairpin": "no", "hairpin_external": "unknown",
        "evidence": ["answered", "mapping-proven"], "detail": ""}"#;
    let result: NatResult = serde_json::from_str(text).unwrap();
    assert_eq!(result.nat_type, NatType::PortRestrictedCone);
    assert_eq!(result.external().unwrap().to_string(), "198.51.100.6:43141");
    assert_eq!(result.local_ip.unwrap().to_string(), "fe80::1");
    assert_eq!((result.ports_seen, result.ports_kept), (5, 2));
    assert_eq!(result.port_step, None);
    assert_eq!((result.external_ips, result.local_ips), (1, 1));
    assert_eq!(result.local_class, AddressClass::LinkLocal);
    assert_eq!(
        (result.port_open, result.hairpin),
        (Tristate::Yes, Tristate::No)
    );
    assert_eq!(result.hairpin_external, Tristate::Unknown);
    let again = serde_json::to_value(&result).unwrap();
    assert_eq!(again["port_open"], "yes");
    assert!(again.get("hairpin_external").is_none());
    assert_eq!(result.rtt, Some(Duration::from_micros(20_124)));
    assert_eq!(result.elapsed, Duration::from_micros(94_470));
    assert_eq!(
        result.evidence,
        Evidence::ANSWERED | Evidence::MAPPING_PROVEN
    );

    let little = json!({"nat_type": "symmetric", "rtt_ms": null, "local_ip": null});
    let result: NatResult = serde_json::from_value(little).unwrap();
    assert_eq!((result.rtt, result.local_ip), (None, None));
}

#[test]
fn a_check_comes_back_as_it_was() {
    let server = Server::start();
    let events = Shared::new();
    let event = events.clone();
    let mut probe = Probe::new().unwrap();
    probe
        .add_server(&server.name())
        .unwrap()
        .set_events(move |e| event.push(e.clone()))
        .unwrap();
    let result = probe.run().unwrap();
    let json = serde_json::to_value(&result).unwrap();
    assert_eq!(json["nat_type"], "open-internet");
    assert_eq!(serde_json::from_value::<NatResult>(json).unwrap(), result);

    let events = events.take();
    for event in &events {
        let json = serde_json::to_string(event).unwrap();
        assert_eq!(
            serde_json::from_str::<Event>(&json).unwrap(),
            *event,
            "{json}"
        );
    }
    let last = serde_json::to_value(events.last()).unwrap();
    assert_eq!(last["kind"], "finished");
    assert_eq!(last["outcome"], json!({"Ok": "open-internet"}));
}
