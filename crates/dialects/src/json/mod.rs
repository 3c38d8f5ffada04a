//! JSON that is read field by field, and written without building it first.
//!
//! *Invariant:* reading borrows the texts of the body, and every complaint names the field it is about.

mod fault;
mod write;

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap as _, SerializeSeq as _},
};
use serde_json::{Map, Number, Value};

pub(crate) use fault::{Fault, read, read_event};
pub(crate) use write::{List, Object, text};

/// A JSON value whose texts are borrowed where they have no escapes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// A member of an object; null counts as absent, and of a key that occurs twice the last one counts.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Self::Object(members) = self else {
            return None;
        };
        let (_, value) = members.iter().rev().find(|(name, _)| name == key)?;
        Some(value).filter(|value| !matches!(value, Self::Null))
    }

    /// A member that must be there.
    pub(crate) fn require(&self, key: &'static str) -> Result<&Self, Fault> {
        self.get(key)
            .ok_or_else(|| Fault::member(self, key, "must be given"))
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
            _ => None,
        }
    }

    pub(crate) fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    pub(crate) fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// The text of a member, when it has one.
    pub(crate) fn str_of(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// The whole number of a member, when it has one.
    pub(crate) fn u64_of(&self, key: &str) -> Option<u64> {
        self.get(key)?.as_u64()
    }

    /// The elements of a member's list; none when it is no list.
    pub(crate) fn items_of(&self, key: &str) -> &[Self] {
        self.get(key).map(Self::items).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> Result<&str, Fault> {
        self.as_str().ok_or_else(|| self.fault("must be a text"))
    }

    pub(crate) fn flag(&self) -> Result<bool, Fault> {
        match self {
            Self::Bool(flag) => Ok(*flag),
            _ => Err(self.fault("must be true or false")),
        }
    }

    pub(crate) fn count(&self) -> Result<u64, Fault> {
        self.as_u64()
            .ok_or_else(|| self.fault("must be a whole number that is not negative"))
    }

    pub(crate) fn number(&self) -> Result<f64, Fault> {
        match self {
            Self::Number(number) => number.as_f64().filter(|number| number.is_finite()),
            _ => None,
        }
        .ok_or_else(|| self.fault("must be a number"))
    }

    pub(crate) fn list(&self) -> Result<&[Self], Fault> {
        match self {
            Self::List(items) => Ok(items),
            _ => Err(self.fault("must be a list")),
        }
    }

    pub(crate) fn members(&self) -> Result<&[(Cow<'a, str>, Self)], Fault> {
        match self {
            Self::Object(members) => Ok(members),
            _ => Err(self.fault("must be an object")),
        }
    }

    /// A text member, which may be absent.
    pub(crate) fn text_of(&self, key: &str) -> Result<Option<&str>, Fault> {
        self.get(key).map(Self::text).transpose()
    }

    /// A text member that must be there.
    pub(crate) fn text_in(&self, key: &'static str) -> Result<&str, Fault> {
        match self.get(key) {
            Some(value) => value.text(),
            None => Err(Fault::member(self, key, "must be a text")),
        }
    }

    pub(crate) fn flag_of(&self, key: &str) -> Result<Option<bool>, Fault> {
        self.get(key).map(Self::flag).transpose()
    }

    pub(crate) fn count_of(&self, key: &str) -> Result<Option<u64>, Fault> {
        self.get(key).map(Self::count).transpose()
    }

    pub(crate) fn number_of(&self, key: &str) -> Result<Option<f64>, Fault> {
        self.get(key).map(Self::number).transpose()
    }

    /// A list member; empty when it is absent.
    pub(crate) fn list_of(&self, key: &str) -> Result<&[Self], Fault> {
        self.get(key).map_or(Ok(&[]), Self::list)
    }

    /// A complaint about this value.
    pub(crate) fn fault(&self, message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::value(self, message)
    }

    /// The same as a value of its own.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.as_ref().to_owned()),
            Self::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Self::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|(key, value)| (key.as_ref().to_owned(), value.to_value()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}

/// Some clients write whole numbers as `1.0`.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked before"
)]
fn whole(number: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && (0.0..=EXACT).contains(&number)).then_some(number as u64)
}

impl fmt::Display for Json<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::Object(members) => {
                let mut object = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    object.serialize_entry(key, value)?;
                }
                object.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// Reads any value.
struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Number::from_f64(number).map_or(Json::Null, Json::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut object = Vec::new();
        while let Some(Key(key)) = members.next_key()? {
            object.push((key, members.next_value()?));
        }
        Ok(Json::Object(object))
    }
}

/// A key, borrowed where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Json::deserialize(deserializer)? {
            Json::Text(text) => Ok(Self(text)),
            _ => Err(serde::de::Error::custom("a key must be a text")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Json, read};

    #[test]
    fn texts_are_borrowed_and_keep_their_meaning() {
        let body = br#"{"a":"plain","b":"es\"caped","c":[1,-2,1.5,1.0,null,true],"a":"last"}"#;
        let value: Json<'_> = serde_json::from_slice(body).expect("JSON");
        assert_eq!(value.str_of("a"), Some("last"));
        assert_eq!(value.str_of("b"), Some("es\"caped"));
        let numbers: Vec<Option<u64>> = value.items_of("c").iter().map(Json::as_u64).collect();
        assert_eq!(numbers, [Some(1), None, None, Some(1), None, None]);
        assert_eq!(
            value.to_value(),
            serde_json::from_slice::<serde_json::Value>(body).expect("JSON")
        );
    }

    type Complaint = fn(&Json<'_>) -> Result<(), Fault>;

    #[test]
    fn a_complaint_names_its_field() {
        let body = br#"{"messages":[{"role":"user"},{"role":5,"parts":[{"x.y":[]}]}]}"#;
        let cases: [(Complaint, &str); 4] = [
            (
                |root| root.list_of("messages")?[1].text_of("role").map(|_| ()),
                "messages[1].role: must be a text",
            ),
            (
                |root| root.list_of("messages")?[0].require("content").map(|_| ()),
                "messages[0].content: must be given",
            ),
            (
                |root| {
                    root.items_of("messages")[1].items_of("parts")[0]
                        .get("x.y")
                        .expect("there")
                        .flag()
                        .map(|_| ())
                },
                "messages[1].parts[0].x.y: must be true or false",
            ),
            (
                |root| root.count().map(|_| ()),
                "body: must be a whole number that is not negative",
            ),
        ];
        for (complain, wanted) in cases {
            let error = read(body, |root| complain(root)).expect_err(wanted);
            assert_eq!(error.to_string(), wanted);
        }
        let error = read(b"{\"a\":", |_| Ok(())).expect_err("cut");
        assert_eq!(error.param, "body");
    }
}
