// SPDX-License-Identifier: MIT
//! The forms of `natprobe --json`: values by their short names, times in milliseconds.
//!
//! A value that the library has no name for is written as its number. In formats that are not for
//! people all values are numbers.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::ser::{SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};

use crate::result::without_scope;
use crate::values::UNKNOWN;
use crate::{
    AddressClass, Assumptions, Behaviour, ErrorKind, Evidence, Family, First, LogLevel, NatType,
    OutlookClass, OutlookRule, Profile, Purpose, Request, Tests, Tristate,
};

/// What is written for a name that this library does not know: it may come from a newer one.
fn strange<T, E: de::Error>(name: &str, instead: Option<T>) -> Result<T, E> {
    instead.ok_or_else(|| E::custom(format_args!("unknown name {name:?}")))
}

macro_rules! by_name {
    ($($name:ident: $read:expr, else $instead:expr;)*) => {
        $(impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let is_named = self.name() != UNKNOWN || !matches!(self, Self::Other(_));
                if serializer.is_human_readable() && is_named {
                    serializer.serialize_str(self.name())
                } else {
                    serializer.serialize_i32(self.as_raw())
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Value;

                impl Visitor<'_> for Value {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("a ", stringify!($name), ", by name or number"))
                    }

                    fn visit_str<E: de::Error>(self, name: &str) -> Result<$name, E> {
                        name.parse().or_else(|_| strange(name, $instead))
                    }

                    fn visit_i64<E: de::Error>(self, value: i64) -> Result<$name, E> {
                        let read: fn(i32) -> Option<$name> = $read;
                        i32::try_from(value).ok().and_then(read).ok_or_else(|| {
                            E::invalid_value(de::Unexpected::Signed(value), &self)
                        })
                    }

                    fn visit_u64<E: de::Error>(self, value: u64) -> Result<$name, E> {
                        self.visit_i64(i64::try_from(value).unwrap_or(i64::MAX))
                    }
                }

                if deserializer.is_human_readable() {
                    deserializer.deserialize_any(Value)
                } else {
                    deserializer.deserialize_i32(Value)
                }
            }
        })*
    };
}

by_name! {
    NatType: |value| Some(NatType::from_raw(value)), else Some(NatType::Unknown);
    Behaviour: |value| Some(Behaviour::from_raw(value)), else Some(Behaviour::Unknown);
    AddressClass: |value| Some(AddressClass::from_raw(value)), else Some(AddressClass::Unknown);
    Family: |value| Some(Family::from_raw(value)), else None;
    LogLevel: |value| Some(LogLevel::from_raw(value)), else None;
    Purpose: |value| Some(Purpose::from_raw(value)), else None;
    Request: |value| Some(Request::from_raw(value)), else None;
    Tristate: |value| Some(Tristate::from_raw(value)), else Some(Tristate::Unknown);
    OutlookClass: |value| Some(OutlookClass::from_raw(value)), else Some(OutlookClass::Unknown);
    OutlookRule: |value| Some(OutlookRule::from_raw(value)), else Some(OutlookRule::Unknown);
    First: |value| Some(First::from_raw(value)), else None;
    ErrorKind: ErrorKind::from_raw, else None;
}

macro_rules! by_names {
    ($($name:ident)*) => {
        $(/// A list of names; bits without one as numbers.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if !serializer.is_human_readable() {
                    return serializer.serialize_u32(self.bits());
                }
                let mut list = serializer.serialize_seq(None)?;
                for bit in self.iter() {
                    match bit.names().next() {
                        Some(name) if name != UNKNOWN => list.serialize_element(name)?,
                        _ => list.serialize_element(&bit.bits())?,
                    }
                }
                list.end()
            }
        }

        /// Names that this library does not know are left out.
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(Deserialize)]
                #[serde(untagged)]
                enum Bit {
                    Name(String),
                    Number(u32),
                }

                struct Bits;

                impl<'de> Visitor<'de> for Bits {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a list of names")
                    }

                    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<$name, A::Error> {
                        let mut bits = $name::empty();
                        while let Some(bit) = list.next_element()? {
                            bits |= match bit {
                                Bit::Number(bit) => $name::from_bits(bit),
                                Bit::Name(name) => name.parse().unwrap_or_default(),
                            };
                        }
                        Ok(bits)
                    }
                }

                if deserializer.is_human_readable() {
                    deserializer.deserialize_seq(Bits)
                } else {
                    u32::deserialize(deserializer).map($name::from_bits)
                }
            }
        })*
    };
}

by_names! { Evidence Assumptions }

impl Serialize for Tests {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.bits().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tests {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Deserialize::deserialize(deserializer).map(Self::from_bits)
    }
}

/// As its line.
impl Serialize for Profile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Profile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let line = String::deserialize(deserializer)?;
        line.parse().map_err(de::Error::custom)
    }
}

/// Times in milliseconds, exact to the microsecond, which is all that the library tells.
pub(crate) mod ms {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        time: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.as_micros() as f64 / 1000.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        // A number that is none, or negative, is 0; one that is too large is the largest.
        let ms = f64::deserialize(deserializer)?;
        Ok(Duration::from_micros((ms * 1000.0).round() as u64))
    }
}

/// As [`ms`], and null if not known.
pub(crate) mod known_ms {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Time(#[serde(with = "super::ms")] Duration);

    pub(crate) fn serialize<S: Serializer>(
        time: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(Time).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Time>::deserialize(deserializer)?.map(|time| time.0))
    }
}

/// An address as the library writes it: a link-local one may have a scope, for which `IpAddr` has no
/// room.
pub(crate) fn is_unknown(answer: &Tristate) -> bool {
    *answer == Tristate::Unknown
}

pub(crate) fn unscoped_ip<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<IpAddr>, D::Error> {
    if !deserializer.is_human_readable() {
        return Deserialize::deserialize(deserializer);
    }
    match Option::<String>::deserialize(deserializer)? {
        Some(text) => without_scope(&text)
            .parse()
            .map(Some)
            .map_err(de::Error::custom),
        None => Ok(None),
    }
}
