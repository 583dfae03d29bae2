// SPDX-License-Identifier: MIT
//! Profiles there and back, and what is made of two of them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use natprobe::{
    Assumptions, Behaviour, ErrorKind, Evidence, Family, First, NatResult, NatType, Outlook,
    OutlookClass, OutlookRule, Profile, Tristate,
};

const LINE: &str =
    "np1 m=ei f=ad fp=1 v=4 x=203.0.113.7:54320 ips=1 pk=1/3 ps=-2 trap=0 t=1795651200";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_651_200)
}

fn symmetric() -> Profile {
    "np1 m=apd f=apd fp=0 x=198.51.100.2 ips=1 t=1795651200"
        .parse()
        .unwrap()
}

#[test]
fn a_line_is_read_and_written() {
    let profile: Profile = LINE.parse().unwrap();
    assert_eq!(profile.mapping, Behaviour::EndpointIndependent);
    assert_eq!(profile.filtering, Behaviour::AddressDependent);
    assert!(profile.filtering_proven && !profile.udp_blocked);
    assert_eq!(profile.family, Family::Ipv4);
    assert_eq!(profile.external().unwrap().to_string(), "203.0.113.7:54320");
    assert_eq!(profile.refused_takes_port, Tristate::No);
    assert_eq!(
        (profile.external_ips, profile.ports_seen, profile.ports_kept),
        (1, 3, 1)
    );
    assert_eq!(
        (profile.port_step, profile.measured_at),
        (Some(-2), Some(1_795_651_200))
    );
    assert_eq!(profile.to_string(), LINE);
    assert_eq!(symmetric().external(), None);
    let mut hidden = profile;
    hidden.external_ip = None;
    assert_eq!(hidden.to_string(), LINE.replace(" x=203.0.113.7:54320", ""));
}

#[test]
fn a_result_becomes_a_profile() {
    let mut result = NatResult::default();
    result.mapping = Behaviour::EndpointIndependent;
    result.filtering = Behaviour::AddressDependent;
    result.evidence = Evidence::FILTERING_PROVEN;
    result.external_ip = "203.0.113.7".parse().ok();
    result.external_port = Some(54320);
    (result.external_ips, result.ports_seen, result.ports_kept) = (1, 3, 1);
    result.port_step = Some(-2);
    let profile = Profile::from_result(&result, now());
    assert_eq!(profile.to_string(), LINE.replace(" trap=0", ""));
    result.nat_type = NatType::UdpBlocked;
    assert!(Profile::from_result(&result, now()).udp_blocked);
}

#[test]
fn other_lines_are_refused() {
    for (line, reason) in [
        ("", "begin with"),
        ("np2", "version"),
        ("np1 m=x", "m is"),
        ("np1\0m=ei", "zero byte"),
    ] {
        let error = line.parse::<Profile>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument);
        assert!(error.detail().contains(reason), "{line}: {error}");
    }
}

#[test]
fn two_profiles_are_judged() {
    let cone: Profile = LINE.parse().unwrap();
    let outlook = Outlook::of(&cone, &symmetric(), now());
    assert_eq!(outlook.outlook, OutlookClass::PunchLearn);
    assert_eq!(
        (outlook.best, outlook.worst),
        (outlook.outlook, outlook.outlook)
    );
    assert_eq!(outlook.first, First::Both);
    assert_eq!(outlook.rule, OutlookRule::PortLearnt);
    assert_eq!(
        outlook.assumes,
        Assumptions::ONE_IP | Assumptions::ANSWER_TO_SOURCE
    );
    assert_eq!(outlook.assumes.to_string(), "one-ip, answer-to-source");
    assert_eq!(outlook.assumes.descriptions().count(), 2);
    assert_eq!(
        "low-ttl".parse::<Assumptions>().unwrap(),
        Assumptions::LOW_TTL
    );
    assert_eq!(outlook.to_string(), OutlookClass::PunchLearn.to_string());
    assert_eq!(outlook.connects(), Some(true));
    assert_eq!(Outlook::of(&symmetric(), &cone, now()), outlook);
    let blocked = "np1 b=1".parse().unwrap();
    assert_eq!(Outlook::of(&cone, &blocked, now()).connects(), Some(false));
    assert_eq!(Outlook::of(&cone, &cone, now()).connects(), None);
    let later = now() + Duration::from_secs(901);
    assert!(Outlook::of(&cone, &symmetric(), later)
        .assumes
        .contains(Assumptions::FRESH));
}

#[test]
fn types_have_the_words_of_games() {
    assert_eq!(NatType::FullCone.grade(), "Open");
    assert_eq!(NatType::Cone.grade(), "Unknown");
}
