//! Kubernetes' networks in CIDR notation.

use std::{fmt, net::IpAddr};

use super::{Function, global, ip, member};
use crate::{
    fault::Fault,
    value::{Opaque, Value},
};

/// An address and how many of its bits are the network's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    length: u8,
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.length)
    }
}

pub(super) const FUNCTIONS: &[Function] = &[
    global("cidr", &["string -> cidr"], |args, _| match args {
        [Value::String(text)] => Ok(Value::Opaque(Opaque::Cidr(read(text)?))),
        _ => Err(Fault::NoOverload),
    }),
    global("isCIDR", &["string -> bool"], |args, _| match args {
        [Value::String(text)] => Ok(Value::Bool(Cidr::parse(text).is_some())),
        _ => Err(Fault::NoOverload),
    }),
    member(
        "containsIP",
        &["cidr, string -> bool", "cidr, ip -> bool"],
        |args, _| {
            let [Value::Opaque(Opaque::Cidr(cidr)), other] = args else {
                return Err(Fault::NoOverload);
            };
            let address = match other {
                Value::Opaque(Opaque::Ip(address)) => *address,
                Value::String(text) => ip::parse(text).ok_or_else(|| {
                    Fault::new(format!(
                        "IP Address {text:?} parse error during conversion from string: unable to parse IP"
                    ))
                })?,
                _ => return Err(Fault::NoOverload),
            };
            Ok(Value::Bool(cidr.contains(address)))
        },
    ),
    member(
        "containsCIDR",
        &["cidr, string -> bool", "cidr, cidr -> bool"],
        |args, _| {
            let [Value::Opaque(Opaque::Cidr(cidr)), other] = args else {
                return Err(Fault::NoOverload);
            };
            let other = match other {
                Value::Opaque(Opaque::Cidr(other)) => *other,
                Value::String(text) => read(text)?,
                _ => return Err(Fault::NoOverload),
            };
            Ok(Value::Bool(
                other.length >= cidr.length && cidr.contains(other.address),
            ))
        },
    ),
    member("ip", &["cidr -> ip"], |args, _| {
        Ok(Value::Opaque(Opaque::Ip(of(args)?.address)))
    }),
    member("prefixLength", &["cidr -> int"], |args, _| {
        Ok(Value::Int(of(args)?.length.into()))
    }),
    member("masked", &["cidr -> cidr"], |args, _| {
        Ok(Value::Opaque(Opaque::Cidr(of(args)?.masked())))
    }),
];

fn of(args: &[Value]) -> Result<Cidr, Fault> {
    match args {
        [Value::Opaque(Opaque::Cidr(cidr))] => Ok(*cidr),
        _ => Err(Fault::NoOverload),
    }
}

fn read(text: &str) -> Result<Cidr, Fault> {
    Cidr::parse(text).ok_or_else(|| {
        Fault::new(format!(
            "network address parse error during conversion from string: {text:?} is no network"
        ))
    })
}

impl Cidr {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let address = ip::parse(address)?;
        let plain =
            length.bytes().all(|byte| byte.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
        let length: u8 = length.parse().ok().filter(|_| plain)?;
        (length <= width(address)).then_some(Self { address, length })
    }

    fn masked(self) -> Self {
        let bits = bits(self.address) & mask(width(self.address), self.length);
        let address = match self.address {
            IpAddr::V4(_) => IpAddr::V4(u32::try_from(bits).unwrap_or_default().into()),
            IpAddr::V6(_) => IpAddr::V6(bits.into()),
        };
        Self { address, ..self }
    }

    fn contains(self, address: IpAddr) -> bool {
        let mask = mask(width(self.address), self.length);
        address.is_ipv4() == self.address.is_ipv4() && bits(address) & mask == bits(self.address) & mask
    }
}

const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn mask(width: u8, length: u8) -> u128 {
    let host = u32::from(width - length);
    let ones = if width == 32 {
        u128::from(u32::MAX)
    } else {
        u128::MAX
    };
    ones & u128::MAX.checked_shl(host).unwrap_or(0)
}
