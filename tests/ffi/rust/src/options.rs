// SPDX-License-Identifier: MIT
//! The command line.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lexopt::{Arg, ValueExt};

#[derive(Default)]
pub struct Options {
    pub mode: String,
    pub port: u16,
    pub servers: Vec<String>,
    pub ipv6: bool,
    pub mapping_only: bool,
}

impl Options {
    pub fn parse() -> Result<Self, String> {
        let mut options = Self::default();
        options
            .take_all(&mut lexopt::Parser::from_env())
            .map_err(|error| error.to_string())?;
        Ok(options)
    }

    fn take_all(&mut self, parser: &mut lexopt::Parser) -> Result<(), lexopt::Error> {
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Short('p') => self.port = parser.value()?.parse()?,
                Arg::Short('s') => self.servers.push(parser.value()?.string()?),
                Arg::Short('6') => self.ipv6 = true,
                Arg::Long("mapping-only") => self.mapping_only = true,
                Arg::Long("json") => {}
                Arg::Value(mode) if self.mode.is_empty() => self.mode = mode.string()?,
                _ => return Err(arg.unexpected()),
            }
        }
        Ok(())
    }

    pub fn any_address(&self) -> IpAddr {
        if self.ipv6 {
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            Ipv4Addr::UNSPECIFIED.into()
        }
    }

    pub fn loopback(&self) -> IpAddr {
        if self.ipv6 {
            Ipv6Addr::LOCALHOST.into()
        } else {
            Ipv4Addr::LOCALHOST.into()
        }
    }
}
