//! The header of a safetensors file, read with distrust.
//!
//! *Invariant:* what is kept of a header is bounded by what an encoder can have: a list that goes on and tensors without
//! end cost an error and no memory.

use std::{borrow::Cow, collections::HashMap, fmt, fs::File, os::unix::fs::FileExt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use stead_kernel::ports::PACKED_FILES;

use crate::{
    error::{Error, Result},
    gguf::{Entry, Sort},
};

/// The longest header, in bytes; the largest tokenizers have some ten million.
const MAX_HEADER: u64 = 64 << 20;
/// The most tensors that a file may have.
const MAX_TENSORS: usize = 1 << 16;
/// The most dimensions that a tensor may have.
const MAX_DIMENSIONS: usize = 4;

/// What an encoder needs of a file's header.
pub(super) struct Header {
    /// Texts of [`PACKED_FILES`], by their names.
    pub(super) beside: HashMap<String, String>,
    /// Tensors by their names in GGUF.
    pub(super) tensors: HashMap<String, Entry>,
    /// Where the data begins, in bytes.
    pub(super) data: u64,
}

/// Reads the header.
///
/// # Errors
/// `Damaged` when its length cannot be true, it is no such header, or a tensor contradicts itself; `Unsupported` for
/// numbers in a format that the engine does not read.
pub(super) fn read(file: &File) -> Result<Header> {
    let length = file.metadata()?.len();
    let mut size = [0; 8];
    file.read_exact_at(&mut size, 0)?;
    let size = u64::from_le_bytes(size);
    if size > MAX_HEADER || size > length.saturating_sub(8) {
        return Err(Error::damaged("its header is longer than it can be"));
    }
    let bytes = usize::try_from(size).map_err(|_| Error::damaged("its header is too long"))?;
    let mut header = vec![0; bytes];
    file.read_exact_at(&mut header, 8)?;
    let told: Parts = serde_json::from_slice(&header)
        .map_err(|error| Error::damaged(format!("its header is none of safetensors: {error}")))?;
    let mut tensors = HashMap::new();
    for (name, told) in told.tensors {
        let entry = entry(&name, &told)?;
        if tensors.insert(name.clone(), entry).is_some() {
            return Err(Error::damaged(format!("it has two tensors for `{name}`")));
        }
    }
    Ok(Header {
        beside: told.beside,
        tensors,
        data: size + 8,
    })
}

/// The parts of a header as they stand there.
#[derive(Default)]
struct Parts {
    beside: HashMap<String, String>,
    tensors: Vec<(String, Told)>,
}

/// What the header says of a tensor.
#[derive(Deserialize)]
struct Told {
    dtype: String,
    shape: Shape,
    data_offsets: [u64; 2],
}

/// The dimensions of a tensor, rows first.
struct Shape(Vec<u64>);

impl<'de> Deserialize<'de> for Parts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(OfParts)
    }
}

struct OfParts;

impl<'de> Visitor<'de> for OfParts {
    type Value = Parts;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Parts, A::Error> {
        let mut parts = Parts::default();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if name == "__metadata__" {
                parts.beside = map.next_value::<Beside>()?.0;
            } else if let Some(ours) = name_of(&name) {
                if parts.tensors.len() == MAX_TENSORS {
                    return Err(A::Error::custom("it has too many tensors"));
                }
                parts.tensors.push((ours, map.next_value()?));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(parts)
    }
}

/// Texts of [`PACKED_FILES`]; other metadata is passed over.
struct Beside(HashMap<String, String>);

impl<'de> Deserialize<'de> for Beside {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(OfBeside)
    }
}

struct OfBeside;

impl<'de> Visitor<'de> for OfBeside {
    type Value = Beside;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Beside, A::Error> {
        let mut texts = HashMap::new();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if PACKED_FILES.contains(&&*name) {
                texts.insert(name.into_owned(), map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Beside(texts))
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_seq(OfShape)
    }
}

struct OfShape;

impl<'de> Visitor<'de> for OfShape {
    type Value = Shape;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of dimensions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Shape, A::Error> {
        let mut dimensions = Vec::new();
        while let Some(dimension) = list.next_element()? {
            if dimensions.len() == MAX_DIMENSIONS {
                return Err(A::Error::custom("a tensor has too many dimensions"));
            }
            dimensions.push(dimension);
        }
        Ok(Shape(dimensions))
    }
}

fn entry(name: &str, told: &Told) -> Result<Entry> {
    let odd = || Error::damaged(format!("its tensor `{name}` is not described sensibly"));
    let sort = match told.dtype.as_str() {
        "F32" => Sort::F32,
        "F16" => Sort::F16,
        "BF16" => Sort::BF16,
        other => {
            let other: String = other.chars().take(16).collect();
            return Err(Error::unsupported(format!("its tensor `{name}` is of {other}")));
        }
    };
    let [start, end] = told.data_offsets;
    let entry = Entry::plain(sort, &told.shape.0, start).ok_or_else(odd)?;
    if end.checked_sub(start) == Some(entry.bytes()) {
        Ok(entry)
    } else {
        Err(odd())
    }
}

/// The name of a tensor in GGUF; `None` for those that embeddings need not.
fn name_of(name: &str) -> Option<String> {
    let name = name.strip_prefix("bert.").unwrap_or(name);
    let fixed = match name {
        "embeddings.word_embeddings.weight" => Some("token_embd.weight"),
        "embeddings.position_embeddings.weight" => Some("position_embd.weight"),
        "embeddings.token_type_embeddings.weight" => Some("token_types.weight"),
        "embeddings.LayerNorm.weight" => Some("token_embd_norm.weight"),
        "embeddings.LayerNorm.bias" => Some("token_embd_norm.bias"),
        _ => None,
    };
    if let Some(fixed) = fixed {
        return Some(fixed.to_owned());
    }
    let (layer, rest) = name.strip_prefix("encoder.layer.")?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    let (part, sort) = rest.rsplit_once('.')?;
    let part = match part {
        "attention.self.query" => "attn_q",
        "attention.self.key" => "attn_k",
        "attention.self.value" => "attn_v",
        "attention.output.dense" => "attn_output",
        "attention.output.LayerNorm" => "attn_output_norm",
        "intermediate.dense" => "ffn_up",
        "output.dense" => "ffn_down",
        "output.LayerNorm" => "layer_output_norm",
        _ => return None,
    };
    Some(format!("blk.{layer}.{part}.{sort}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read_of(header: &str) -> Result<Header> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
        file.write_all(header.as_bytes()).unwrap();
        read(&file)
    }

    #[test]
    fn a_header_that_lies_is_refused_with_what_is_wrong() {
        let tensor = |rest: &str| format!(r#"{{"embeddings.LayerNorm.bias":{rest}}}"#);
        let many = format!("[{}1]", "1,".repeat(1 << 20));
        for (header, told) in [
            (String::new(), "none of safetensors"),
            ("[]".to_owned(), "an object with tensors"),
            (r#"{"__metadata__": []}"#.to_owned(), "an object with texts"),
            (r#"{"__metadata__": {"config.json": 1}}"#.to_owned(), "a string"),
            (tensor(r#"{"dtype":"F32","shape":[2]}"#), "data_offsets"),
            (
                tensor(r#"{"dtype":"F32","shape":[2],"data_offsets":[0,7]}"#),
                "not described sensibly",
            ),
            (
                tensor(r#"{"dtype":"F32","shape":[2],"data_offsets":[8,0]}"#),
                "not described sensibly",
            ),
            (
                tensor(r#"{"dtype":"F32","shape":[],"data_offsets":[0,4]}"#),
                "not described sensibly",
            ),
            (
                tensor(r#"{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}"#),
                "none of safetensors",
            ),
            (
                tensor(
                    r#"{"dtype":"F32","shape":[9223372036854775807,9223372036854775807],"data_offsets":[0,4]}"#,
                ),
                "not described sensibly",
            ),
            (
                tensor(&format!(
                    r#"{{"dtype":"F32","shape":{many},"data_offsets":[0,4]}}"#
                )),
                "too many dimensions",
            ),
            (
                tensor(r#"{"dtype":"I8","shape":[4],"data_offsets":[0,4]}"#),
                "is of I8",
            ),
            (
                concat!(
                    r#"{"embeddings.LayerNorm.bias":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"#,
                    r#""bert.embeddings.LayerNorm.bias":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#
                )
                .to_owned(),
                "two tensors",
            ),
        ] {
            let refused = read_of(&header).err().expect("refused").to_string();
            let start: String = header.chars().take(100).collect();
            assert!(refused.contains(told), "{start}: {refused}");
        }
    }

    #[test]
    fn a_header_longer_than_its_file_is_refused_before_it_is_read() {
        for length in [9_u64, MAX_HEADER + 1, u64::MAX] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&length.to_le_bytes()).unwrap();
            file.write_all(b"{}").unwrap();
            assert!(matches!(read(&file), Err(Error::Damaged(_))), "{length}");
        }
    }

    #[test]
    fn what_an_encoder_does_not_need_is_passed_over() {
        let header = read_of(concat!(
            r#"{"__metadata__":{"format":"pt","x":[[]],"config.json":"{}"},"#,
            r#""embeddings.position_ids":{"dtype":"I64","shape":[1,512],"data_offsets":[0,4096]},"#,
            r#""embeddings.LayerNorm.bias":{"dtype":"F16","shape":[3],"data_offsets":[4096,4102]}}"#
        ))
        .unwrap();
        assert_eq!((header.beside.len(), header.tensors.len()), (1, 1));
        assert_eq!(header.tensors["token_embd_norm.bias"].columns, 3);
    }

    #[test]
    fn tensors_have_their_names_in_gguf() {
        for (theirs, ours) in [
            ("bert.embeddings.LayerNorm.bias", Some("token_embd_norm.bias")),
            (
                "encoder.layer.11.attention.self.key.weight",
                Some("blk.11.attn_k.weight"),
            ),
            (
                "encoder.layer.0.output.LayerNorm.weight",
                Some("blk.0.layer_output_norm.weight"),
            ),
            ("encoder.layer.x.output.dense.weight", None),
            ("pooler.dense.weight", None),
        ] {
            assert_eq!(name_of(theirs).as_deref(), ours);
        }
    }
}
