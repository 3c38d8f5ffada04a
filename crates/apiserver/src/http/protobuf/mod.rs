//! Request bodies in Kubernetes' protobuf, which Go clients send for the kinds that they know. Answers are JSON.
//!
//! The envelope is `k8s\0` and a `runtime.Unknown`.

mod kinds;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use stead_kernel::Timestamp;

use self::kinds::{Field, KINDS, Type};
use crate::failure::{Failure, Outcome};

/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// Reads a body; `UnsupportedMediaType` for kinds that are not understood.
pub(super) fn parse(body: &[u8]) -> Outcome<Value> {
    let malformed = || Failure::bad_request("the body is no protobuf of Kubernetes");
    let (kind, api_version, raw) = envelope(body).ok_or_else(malformed)?;
    let Some((.., fields)) = KINDS
        .iter()
        .find(|(version, name, _)| *version == api_version && *name == kind)
    else {
        return Err(Failure::unsupported_media_type(
            "application/json, application/yaml",
        ));
    };
    let mut object = Map::new();
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.into());
    object.extend(message(raw, fields).ok_or_else(malformed)?);
    Ok(Value::Object(object))
}

/// The kind, the API version and the bytes of the object.
fn envelope(body: &[u8]) -> Option<(&str, &str, &[u8])> {
    let (mut kind, mut api_version, mut raw) = ("", "", &[][..]);
    let mut unknown = Reader(body.strip_prefix(MAGIC)?);
    while let Some((number, value)) = unknown.next_field()? {
        match (number, value) {
            (1, Wire::Bytes(bytes)) => {
                let mut type_meta = Reader(bytes);
                while let Some((number, value)) = type_meta.next_field()? {
                    match (number, value) {
                        (1, Wire::Bytes(text)) => api_version = std::str::from_utf8(text).ok()?,
                        (2, Wire::Bytes(text)) => kind = std::str::from_utf8(text).ok()?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    Some((kind, api_version, raw))
}

/// A value before its type is known.
enum Wire<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Fixed-width numbers, which none of the kinds has.
    Other,
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next field; `None` when the bytes are malformed, `Some(None)` at their end.
    #[expect(
        clippy::option_option,
        reason = "the outer one is the error, so that `?` works"
    )]
    fn next_field(&mut self) -> Option<Option<(u32, Wire<'a>)>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok()?;
        let value = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => self.take(8).map(|_| Wire::Other)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Wire::Other)?,
            _ => return None,
        };
        Some(Some((number, value)))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

/// Reads a message; fields that the table does not have are passed over.
fn message(bytes: &[u8], fields: &[Field]) -> Option<Map<String, Value>> {
    let mut object = Map::new();
    let mut reader = Reader(bytes);
    while let Some((number, value)) = reader.next_field()? {
        if let Some((_, name, kind)) = fields.iter().find(|(known, ..)| *known == number) {
            read_into(&mut object, name, *kind, &value)?;
        }
    }
    Some(object)
}

fn read_into(object: &mut Map<String, Value>, name: &str, kind: Type, value: &Wire<'_>) -> Option<()> {
    let single = match (kind, value) {
        (Type::Text, Wire::Bytes(bytes)) => text(bytes)?,
        (Type::Count, Wire::Varint(0)) => Value::Null,
        (Type::Int | Type::Count, Wire::Varint(number)) => Value::from(number.cast_signed()),
        (Type::Flag, Wire::Varint(number)) => Value::Bool(*number != 0),
        (Type::Time, Wire::Bytes(bytes)) => time(bytes, "%Y-%m-%dT%H:%M:%SZ")?,
        (Type::MicroTime, Wire::Bytes(bytes)) => time(bytes, "%Y-%m-%dT%H:%M:%S.%6fZ")?,
        (Type::Message(fields), Wire::Bytes(bytes)) => Value::Object(message(bytes, fields)?),
        (Type::Json, Wire::Bytes(bytes)) => json(bytes)?,
        (Type::Texts, Wire::Bytes(bytes)) => return append(object, name, Value::from(plain(bytes)?)),
        (Type::Messages(fields), Wire::Bytes(bytes)) => {
            return append(object, name, Value::Object(message(bytes, fields)?));
        }
        (Type::TextMap, Wire::Bytes(bytes)) => {
            let (key, value) = entry(bytes)?;
            return insert(object, name, key, plain(value)?.into());
        }
        (Type::BytesMap, Wire::Bytes(bytes)) => {
            let (key, value) = entry(bytes)?;
            return insert(object, name, key, STANDARD.encode(value).into());
        }
        (Type::TextsMap, Wire::Bytes(bytes)) => {
            let (key, value) = entry(bytes)?;
            let items = message(value, &[(1, "items", Type::Texts)])?.remove("items");
            return insert(
                object,
                name,
                key,
                items.unwrap_or_else(|| Value::Array(Vec::new())),
            );
        }
        _ => return None,
    };
    let absent = single.is_null() || single.as_str().is_some_and(str::is_empty);
    if !absent {
        object.insert(name.into(), single);
    }
    Some(())
}

fn plain(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn text(bytes: &[u8]) -> Option<Value> {
    plain(bytes).map(Value::from)
}

fn append(object: &mut Map<String, Value>, name: &str, value: Value) -> Option<()> {
    let list = object.entry(name).or_insert_with(|| Value::Array(Vec::new()));
    list.as_array_mut()?.push(value);
    Some(())
}

fn insert(object: &mut Map<String, Value>, name: &str, key: &str, value: Value) -> Option<()> {
    let map = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
    map.as_object_mut()?.insert(key.into(), value);
    Some(())
}

/// A map's entry: the key is field 1, the value field 2.
fn entry(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (mut key, mut value) = ("", &[][..]);
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.next_field()? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => key = plain(bytes)?,
            (2, Wire::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Some((key, value))
}

/// A time; none when the message is empty, as Go writes its zero time.
fn time(bytes: &[u8], format: &str) -> Option<Value> {
    if bytes.is_empty() {
        return Some(Value::Null);
    }
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.next_field()? {
        match (number, wire) {
            (1, Wire::Varint(value)) => seconds = value.cast_signed(),
            (2, Wire::Varint(value)) => nanos = i32::try_from(value.cast_signed()).ok()?,
            _ => {}
        }
    }
    let time = Timestamp::new(seconds, nanos).ok()?;
    Some(time.strftime(format).to_string().into())
}

fn json(bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.next_field()? {
        if let (1, Wire::Bytes(text)) = (number, wire) {
            return serde_json::from_slice(text).ok();
        }
    }
    Some(Value::Null)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// A field of length-delimited bytes.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).expect("short")];
        out.extend(bytes);
        out
    }

    fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let type_meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
        [
            MAGIC.to_vec(),
            field(1, &type_meta),
            field(2, raw),
            field(3, b""),
            field(4, b""),
        ]
        .concat()
    }

    #[test]
    fn a_secret_of_a_go_client_is_read() {
        let metadata = [
            field(1, b"s"),
            field(2, b""),
            field(5, b""),
            vec![7 << 3, 0],
            field(8, b""),
            field(11, &[field(1, b"a"), field(2, b"")].concat()),
        ]
        .concat();
        let data = [field(1, b"k"), field(2, b"v")].concat();
        let raw = [field(1, &metadata), field(2, &data), field(3, b"Opaque")].concat();
        assert_eq!(
            parse(&body("v1", "Secret", &raw)).expect("read"),
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "labels": {"a": ""}},
                "data": {"k": "dg=="}, "type": "Opaque",
            })
        );
    }

    #[test]
    fn times_have_seconds_or_microseconds() {
        let moment = [vec![1 << 3, 60], vec![2 << 3, 0xe8, 0x07]].concat();
        let spec = field(2, &field(4, &moment));
        let lease = parse(&body("coordination.k8s.io/v1", "Lease", &spec)).expect("read");
        assert_eq!(lease["spec"]["renewTime"], "1970-01-01T00:01:00.000001Z");
    }

    #[test]
    fn roles_bindings_and_questions_about_others_are_read() {
        let rule = [
            field(1, b"get"),
            field(1, b"list"),
            field(2, b""),
            field(3, b"secrets"),
        ]
        .concat();
        let raw = [field(1, &field(1, b"r")), field(2, &rule)].concat();
        assert_eq!(
            parse(&body("rbac.authorization.k8s.io/v1", "Role", &raw)).expect("read"),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r"},
                "rules": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["secrets"]}],
            })
        );
        let subject = [field(1, b"User"), field(3, b"bob")].concat();
        let role = [field(2, b"Role"), field(3, b"r")].concat();
        let raw = [field(2, &subject), field(3, &role)].concat();
        let binding = parse(&body("rbac.authorization.k8s.io/v1", "RoleBinding", &raw)).expect("read");
        assert_eq!(binding["subjects"], json!([{"kind": "User", "name": "bob"}]));
        assert_eq!(binding["roleRef"], json!({"kind": "Role", "name": "r"}));
        let extra = [
            field(1, b"scopes"),
            field(2, &[field(1, b"a"), field(1, b"b")].concat()),
        ]
        .concat();
        let spec = [field(3, b"bob"), field(4, b"g"), field(5, &extra)].concat();
        let raw = field(2, &spec);
        let review = parse(&body("authorization.k8s.io/v1", "SubjectAccessReview", &raw)).expect("read");
        assert_eq!(
            review["spec"],
            json!({"user": "bob", "groups": ["g"], "extra": {"scopes": ["a", "b"]}})
        );
    }

    #[test]
    fn other_kinds_and_garbage_are_refused() {
        for bad in [
            body("apps/v1", "Deployment", b""),
            b"{}".to_vec(),
            b"k8s\0\x0a\xff".to_vec(),
        ] {
            assert!(parse(&bad).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0..KINDS.len()) {
            let (api_version, name, _) = KINDS[kind];
            // What comes out does not matter.
            let _ = parse(&body(api_version, name, &bytes[..bytes.len().min(120)]));
            let _ = parse(&bytes);
        }
    }
}
