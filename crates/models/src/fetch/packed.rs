//! An embedding model's weights with the files beside them, as one file: the files' texts go into the `__metadata__` of
//! the safetensors header, where the format has room for texts.
//!
//! Format: <https://github.com/huggingface/safetensors#format>.
//!
//! *Invariant:* what is packed depends on the files' contents alone, so that it has one digest.

use std::{
    collections::BTreeMap,
    io::{Cursor, Read},
};

use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use stead_kernel::{Error, Result, ports::PACKED_FILES};

/// The longest header, in bytes, and the longest file beside the weights; the largest tokenizers have some ten million.
pub(super) const MAX_TEXT: u64 = 32 << 20;

/// A packed file on its way.
pub(super) struct Packed<R> {
    /// Its size in bytes.
    pub(super) size: u64,
    /// Its content.
    pub(super) content: std::io::Chain<Cursor<Vec<u8>>, R>,
}

/// The text of a file beside the weights, which must be JSON.
pub(super) fn text(name: &str, file: &mut impl Read) -> Result<String> {
    let mut text = String::new();
    file.take(MAX_TEXT + 1)
        .read_to_string(&mut text)
        .map_err(|error| Error::invalid(format!("its {name} cannot be read")).because(error))?;
    if text.len() as u64 > MAX_TEXT {
        return Err(Error::invalid(format!(
            "its {name} has more than {MAX_TEXT} bytes"
        )));
    }
    match serde_json::from_str::<IgnoredAny>(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Error::invalid(format!("its {name} is no JSON")).because(error)),
    }
}

/// Refuses what lacks something that no embedding model can do without.
///
/// # Errors
/// `Invalid`, with what is missing.
pub(super) fn check(beside: &BTreeMap<&'static str, String>) -> Result<()> {
    let needed = ["config.json", "tokenizer.json"];
    match needed.into_iter().find(|name| !beside.contains_key(name)) {
        None => Ok(()),
        Some(name) => Err(Error::invalid(format!("there is no {name} beside the weights"))
            .hint("an embedding model is a .safetensors file with config.json and tokenizer.json beside it")),
    }
}

/// Packs weights of `size` bytes. What was packed into them earlier stays where nothing lies beside them.
///
/// # Errors
/// `Invalid` when they are no safetensors, or lack what no embedding model can do without.
pub(super) fn pack<R: Read>(
    mut weights: R,
    size: u64,
    mut beside: BTreeMap<&'static str, String>,
) -> Result<Packed<R>> {
    let damaged = || Error::invalid("it does not begin like a safetensors file");
    let mut length = [0; 8];
    weights.read_exact(&mut length).map_err(|_| damaged())?;
    let length = u64::from_le_bytes(length);
    let rest = size
        .checked_sub(8)
        .and_then(|size| size.checked_sub(length))
        .filter(|_| length <= MAX_TEXT)
        .ok_or_else(damaged)?;
    let mut header = Vec::new();
    weights
        .by_ref()
        .take(length)
        .read_to_end(&mut header)
        .map_err(|error| Error::invalid("its header cannot be read").because(error))?;
    let mut header: Map<String, Value> = serde_json::from_slice(&header).map_err(|_| damaged())?;
    let earlier = header.remove("__metadata__").unwrap_or_default();
    for name in PACKED_FILES {
        if let Some(text) = earlier.get(name).and_then(Value::as_str) {
            beside.entry(name).or_insert_with(|| text.to_owned());
        }
    }
    check(&beside)?;
    let metadata = beside
        .into_iter()
        .map(|(name, text)| (name.to_owned(), Value::from(text)));
    header.insert("__metadata__".to_owned(), Value::Object(metadata.collect()));
    let mut header = Value::Object(header).to_string().into_bytes();
    // The data begins at a multiple of eight, as its writers have it.
    header.resize(header.len().next_multiple_of(8), b' ');
    let head = [&(header.len() as u64).to_le_bytes()[..], &header].concat();
    Ok(Packed {
        size: rest + head.len() as u64,
        content: Cursor::new(head).chain(weights),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    #[test]
    fn texts_go_into_the_header_and_the_data_stays() {
        let weights = file(
            r#"{"__metadata__":{"format":"pt"},"a":{"data_offsets":[0,3]}}"#,
            b"abc",
        );
        let beside = ["config.json", "tokenizer.json"].map(|name| (name, "{}".to_owned()));
        let mut packed = pack(weights.as_slice(), weights.len() as u64, beside.into()).unwrap();
        let mut bytes = Vec::new();
        packed.content.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, packed.size);
        let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
        assert!(length.is_multiple_of(8) && bytes.ends_with(b"abc"));
        let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        assert_eq!(
            header["__metadata__"],
            serde_json::json!({"config.json": "{}", "tokenizer.json": "{}"})
        );
        assert_eq!(header["a"]["data_offsets"][1], 3);
        let mut again = Vec::new();
        let packed = pack(bytes.as_slice(), bytes.len() as u64, BTreeMap::new());
        packed.unwrap().content.read_to_end(&mut again).unwrap();
        assert_eq!(again, bytes);
    }

    #[test]
    fn weights_that_are_none_are_refused() {
        for bytes in [
            &b""[..],
            b"1234567",
            b"GGUF and more",
            &file("{}", b"")[..9],
            &file("[1]", b""),
        ] {
            assert!(
                pack(bytes, bytes.len() as u64, BTreeMap::new()).is_err(),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn texts_that_are_no_json_or_too_long_are_refused() {
        assert_eq!(text("config.json", &mut &b"{}"[..]).unwrap(), "{}");
        for bytes in [&b"<html>"[..], b"", b"\xff"] {
            assert!(text("config.json", &mut &bytes[..]).is_err(), "{bytes:?}");
        }
        let endless = text("config.json", &mut std::io::repeat(b' ')).unwrap_err();
        assert!(endless.full_message().contains("more than"), "{endless}");
    }

    #[test]
    fn a_model_without_its_tokenizer_is_refused() {
        let beside = BTreeMap::from([("config.json", "{}".to_owned())]);
        let refused = check(&beside).unwrap_err().full_message();
        assert!(refused.contains("tokenizer.json"), "{refused}");
    }
}
