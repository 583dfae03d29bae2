// SPDX-License-Identifier: MIT
//! Values: their names, what is read back from them, and what a newer library may give.

use std::collections::HashSet;
use std::fmt::Debug;
use std::str::FromStr;

use natprobe::{
    Behaviour, ErrorKind, Evidence, Family, LogLevel, NatResult, NatType, Purpose, Request, Tests,
};

#[test]
fn the_library_has_a_version() {
    assert!(natprobe::version().starts_with("0."));
    assert!(natprobe::version_number() >= 0x0000_0400);
}

#[test]
fn texts_are_those_of_the_library() {
    assert_eq!(NatType::PortRestrictedCone.name(), "port-restricted-cone");
    assert_eq!(
        NatType::PortRestrictedCone.to_string(),
        "Port Restricted-cone NAT"
    );
    assert!(NatType::Symmetric.advice().contains("relay"));
    assert_eq!(Behaviour::AddressDependent.name(), "address-dependent");
    assert_eq!(Behaviour::AddressDependent.to_string(), "Address-dependent");
    assert_eq!(Behaviour::NoTranslation.name(), "none");
    assert_eq!(ErrorKind::NoResponse.name(), "no-response");
    assert_eq!(ErrorKind::NoResponse.to_string(), "No STUN server answered");
    assert_eq!(Request::II.name(), "II");
    assert_eq!(Purpose::Control.to_string(), "control");
    assert_eq!(format!("{:>7}", LogLevel::Info), "   info");
    assert_eq!(Family::Ipv6.name(), "ipv6");
    assert_eq!(Purpose::Check.name(), "check");
    assert_eq!(ErrorKind::Limit.name(), "limit");
}

/// Each is read back from its name and from its text.
fn read_back<T: FromStr + Copy + PartialEq + Debug + ToString>(values: &[(T, &str)])
where
    T::Err: Debug,
{
    for (value, name) in values {
        assert_eq!(name.parse::<T>().unwrap(), *value);
        assert_eq!(value.to_string().parse::<T>().unwrap(), *value);
    }
}

#[test]
fn texts_are_read_back() {
    read_back(&[
        (NatType::Unknown, "unknown"),
        (NatType::SymmetricUdpFirewall, "symmetric-udp-firewall"),
    ]);
    read_back(&[
        (Behaviour::NoTranslation, "none"),
        (Behaviour::EndpointDependent, "endpoint-dependent"),
    ]);
    read_back(&[(ErrorKind::Timeout, ErrorKind::Timeout.name())]);
    read_back(&[(LogLevel::Error, "error"), (LogLevel::Debug, "debug")]);
    read_back(&[(Family::Any, "any"), (Family::Ipv4, "ipv4")]);
    read_back(&[(Request::I, "I"), (Request::III, "III")]);
    read_back(&[(Purpose::Check, "check"), (Purpose::Mapping, "mapping")]);
    read_back(&[(Evidence::CONTROL_ANSWERED, "control-answered")]);
}

#[test]
fn other_texts_are_refused() {
    let error = "Full cone".parse::<NatType>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"Full cone\" is not the name of a NAT type"
    );
    // The library's word for what it does not know, where no value is called so.
    "unknown".parse::<Purpose>().unwrap_err();
    "unknown".parse::<LogLevel>().unwrap_err();
    "unknown".parse::<Evidence>().unwrap_err();
    // No errors.
    "ok".parse::<ErrorKind>().unwrap_err();
    "pending".parse::<ErrorKind>().unwrap_err();
}

#[test]
fn a_status_is_no_error() {
    assert_eq!(ErrorKind::from_raw(0), None);
    assert_eq!(ErrorKind::from_raw(1), None);
    assert_eq!(ErrorKind::from_raw(-1), Some(ErrorKind::Argument));
}

#[test]
fn values_of_a_newer_library_are_kept() {
    assert_eq!(NatType::from_raw(77).as_raw(), 77);
    assert_eq!(NatType::from_raw(77).name(), "unknown");
    assert_eq!(format!("{:?}", NatType::from_raw(77)), "Other(77)");
    assert_eq!(ErrorKind::from_raw(-99).unwrap().as_raw(), -99);
    assert_eq!(Evidence::from_bits(1 << 31).bits(), 1 << 31);
    assert_eq!(Tests::from_bits(1 << 30).bits(), 1 << 30);
}

#[test]
fn levels_are_ordered() {
    assert!(LogLevel::Error < LogLevel::Warning);
    assert!(LogLevel::Warning < LogLevel::Info);
    assert!(LogLevel::Info < LogLevel::Debug);
    assert!(LogLevel::Debug < LogLevel::from_raw(9));
}

#[test]
fn defaults_are_those_of_the_library() {
    assert_eq!(NatType::default(), NatType::Unknown);
    assert_eq!(Behaviour::default(), Behaviour::Unknown);
    assert_eq!(Family::default(), Family::Any);
    assert_eq!(Tests::default(), Tests::DEFAULT);
    assert_eq!(NatResult::default().external(), None);
    assert_eq!(
        NatResult::default().to_string(),
        NatType::Unknown.to_string()
    );
}

#[test]
fn evidence_has_sentences() {
    let evidence = Evidence::ANSWERED | Evidence::TRANSLATED;
    let sentences: Vec<_> = evidence.descriptions().collect();
    assert_eq!(sentences.len(), 2);
    assert!(sentences[0].contains("answered"), "{}", sentences[0]);
    assert!(sentences[1].contains("IPv6"), "{}", sentences[1]);
    let all = Evidence::from_bits((Evidence::TRANSLATED.bits() << 1) - 1);
    let all: HashSet<_> = all.descriptions().collect();
    assert_eq!(all.len(), 23);
}

#[test]
fn evidence_is_a_set() {
    let unknown = Evidence::from_bits(1 << 31);
    let evidence = unknown | Evidence::ANSWERED | Evidence::LOSS;
    let names: Vec<_> = evidence.names().collect();
    assert_eq!(names, ["answered", "loss", "unknown"]);
    assert_eq!(evidence.to_string(), "answered, loss, unknown");
    assert_eq!(format!("{evidence:?}"), "[ANSWERED, LOSS, 0x80000000]");
    assert!(evidence.contains(Evidence::ANSWERED | Evidence::LOSS));
    assert!(!evidence.contains(Evidence::ANSWERED | Evidence::ALG));
    assert!(evidence.intersects(Evidence::ANSWERED | Evidence::ALG));
    assert_eq!(evidence - Evidence::LOSS - unknown, Evidence::ANSWERED);
    assert_eq!(evidence & Evidence::LOSS, Evidence::LOSS);
    assert_eq!(evidence.iter().collect::<Evidence>(), evidence);
    assert!(Evidence::empty().is_empty() && !evidence.is_empty());
    assert_eq!(Tests::DEFAULT, Tests::MAPPING | Tests::FILTERING);
    assert_eq!(format!("{:?}", Tests::DEFAULT), "[MAPPING, FILTERING]");
}
