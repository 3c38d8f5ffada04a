//! Kubernetes' IP addresses.

use std::net::IpAddr;

use super::{Function, global, member};
use crate::{
    fault::Fault,
    value::{Opaque, Value},
};

pub(super) const FUNCTIONS: &[Function] = &[
    global("ip", &["string -> ip"], |args, _| match args {
        [Value::String(text)] => match parse(text) {
            Some(address) => Ok(Value::Opaque(Opaque::Ip(address))),
            None => Err(Fault::new(format!(
                "IP Address {text:?} parse error during conversion from string: unable to parse IP"
            ))),
        },
        _ => Err(Fault::NoOverload),
    }),
    global("isIP", &["string -> bool"], |args, _| match args {
        [Value::String(text)] => Ok(Value::Bool(parse(text).is_some())),
        _ => Err(Fault::NoOverload),
    }),
    global("ip.isCanonical", &["string -> bool"], |args, _| match args {
        [Value::String(text)] => match parse(text) {
            Some(address) => Ok(Value::Bool(address.to_string() == **text)),
            None => Err(Fault::new(format!(
                "IP Address {text:?} parse error during conversion from string: unable to parse IP"
            ))),
        },
        _ => Err(Fault::NoOverload),
    }),
    member("family", &["ip -> int"], |args, _| {
        Ok(Value::Int(if of(args)?.is_ipv4() { 4 } else { 6 }))
    }),
    member("isUnspecified", &["ip -> bool"], |args, _| {
        Ok(Value::Bool(of(args)?.is_unspecified()))
    }),
    member("isLoopback", &["ip -> bool"], |args, _| {
        Ok(Value::Bool(of(args)?.is_loopback()))
    }),
    member("isLinkLocalMulticast", &["ip -> bool"], |args, _| {
        Ok(Value::Bool(match of(args)? {
            IpAddr::V4(address) => matches!(address.octets(), [224, 0, 0, _]),
            IpAddr::V6(address) => matches!(address.octets(), [0xff, second, ..] if second & 0x0f == 2),
        }))
    }),
    member("isLinkLocalUnicast", &["ip -> bool"], |args, _| {
        Ok(Value::Bool(is_link_local(of(args)?)))
    }),
    member("isGlobalUnicast", &["ip -> bool"], |args, _| {
        let address = of(args)?;
        let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
        let other = address.is_unspecified() || address.is_loopback() || address.is_multicast();
        Ok(Value::Bool(!broadcast && !other && !is_link_local(address)))
    }),
];

/// Reads an address; not one of IPv4 in IPv6's form, nor one with a zone.
pub(super) fn parse(text: &str) -> Option<IpAddr> {
    match text.parse().ok()? {
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => None,
        address => Some(address),
    }
}

fn of(args: &[Value]) -> Result<IpAddr, Fault> {
    match args {
        [Value::Opaque(Opaque::Ip(address))] => Ok(*address),
        _ => Err(Fault::NoOverload),
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => matches!(address.octets(), [0xfe, second, ..] if second & 0xc0 == 0x80),
    }
}
