//! The columns that `kubectl get` shows: the `Table` form of objects.

mod age;
mod path;

use serde_json::{Value, json};

pub use age::age;
use path::JsonPath;

use crate::{schema::metadata, time};

/// What Kubernetes' own documentation of `ObjectMeta` says of the name; clients show it as a column's description.
pub const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some \
                    resources may allow a client to request the generation of an appropriate name automatically. Name \
                    is primarily intended for creation idempotence and configuration definition. Cannot be updated. \
                    More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";
/// And of the time of creation.
pub const CREATED: &str = "CreationTimestamp is a timestamp representing the server time when this object was \
                           created. It is not guaranteed to be set in happens-before order across separate \
                           operations. Clients may not set this value. It is represented in RFC3339 form and is in \
                           UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: \
                           https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// A printer column that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct ColumnError {
    /// Where, as `additionalPrinterColumns[0].jsonPath`.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

/// What a column's cells are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CellType {
    Integer,
    Number,
    Text,
    Boolean,
    Date,
}

impl CellType {
    const ALL: [(&'static str, Self); 5] = [
        ("integer", Self::Integer),
        ("number", Self::Number),
        ("string", Self::Text),
        ("boolean", Self::Boolean),
        ("date", Self::Date),
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Text => "string",
            Self::Boolean => "boolean",
            Self::Date => "date",
        }
    }
}

#[derive(Debug, Clone)]
struct Column {
    name: String,
    kind: CellType,
    format: String,
    description: String,
    priority: i64,
    path: JsonPath,
    /// What the definition says the cells are, where that is not what they are.
    told: Option<String>,
}

/// The columns of one version of a kind: the name first.
#[derive(Debug, Clone)]
pub struct Columns {
    additional: Vec<Column>,
    /// Whether the name comes first, before the additional ones.
    named: bool,
}

impl Columns {
    /// Columns from a CRD version's `additionalPrinterColumns`: the name, then the listed ones; the age when none is
    /// listed, as Kubernetes does.
    ///
    /// # Errors
    /// Names the column that is malformed.
    pub fn from_crd_version(additional_printer_columns: Option<&Value>) -> Result<Self, ColumnError> {
        let age = json!([{
            "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp",
            "description": CREATED,
        }]);
        let listed = match additional_printer_columns {
            None | Some(Value::Null) => &age,
            Some(Value::Array(columns)) if columns.is_empty() => &age,
            Some(columns) => columns,
        };
        let Value::Array(listed) = listed else {
            return Err(error("additionalPrinterColumns", "must be a list"));
        };
        let additional = listed
            .iter()
            .enumerate()
            .map(|(index, column)| read_column(index, column));
        Ok(Self {
            additional: additional.collect::<Result<_, _>>()?,
            named: true,
        })
    }

    /// Columns without the name in front, which is one of them. A column may have `told`, the type that its
    /// definition tells, as `string` for ages that are computed from dates.
    ///
    /// # Errors
    /// Names the column that is malformed.
    pub fn in_full(columns: &Value) -> Result<Self, ColumnError> {
        let columns = Self::from_crd_version(Some(columns))?;
        Ok(Self {
            named: false,
            ..columns
        })
    }

    /// How many columns there are.
    pub fn count(&self) -> usize {
        self.additional.len() + usize::from(self.named)
    }

    /// The `columnDefinitions` of a `Table`.
    pub fn definitions(&self) -> Value {
        let name = json!({
            "name": "Name", "type": "string", "format": "name", "priority": 0,
            "description": NAME,
        });
        let additional = self.additional.iter().map(|column| {
            json!({
                "name": column.name, "type": column.told.as_deref().unwrap_or(column.kind.name()), "format": column.format,
                "description": column.description, "priority": column.priority,
            })
        });
        std::iter::once(name)
            .filter(|_| self.named)
            .chain(additional)
            .collect()
    }

    /// The `cells` of the object's row; `now` in seconds since 1970.
    ///
    /// A value that is absent or of another type than its column is null. Beyond Kubernetes, an integer column over
    /// a list or map shows how many entries it has.
    pub fn cells(&self, object: &Value, now: i64) -> Vec<Value> {
        let name = metadata::name(object).map_or(Value::Null, Value::from);
        let additional = self.additional.iter().map(|column| cell(column, object, now));
        let name = std::iter::once(name).filter(|_| self.named);
        name.chain(additional).collect()
    }
}

fn error(path: &str, message: impl Into<String>) -> ColumnError {
    ColumnError {
        path: path.to_owned(),
        message: message.into(),
    }
}

fn read_column(index: usize, column: &Value) -> Result<Column, ColumnError> {
    let place = |field: &str| format!("additionalPrinterColumns[{index}].{field}");
    let text = |field: &str| {
        column
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (name, type_name, path) = (text("name"), text("type"), text("jsonPath"));
    if name.is_empty() {
        return Err(error(&place("name"), "must not be empty"));
    }
    let Some((_, kind)) = CellType::ALL.into_iter().find(|(known, _)| *known == type_name) else {
        let known = CellType::ALL.map(|(known, _)| known).join(", ");
        return Err(error(
            &place("type"),
            format!("{type_name:?} is not one of {known}"),
        ));
    };
    let description = match text("description") {
        empty if empty.is_empty() => {
            format!("Custom resource definition column (in JSONPath format): {path}")
        }
        description => description,
    };
    Ok(Column {
        name,
        kind,
        format: text("format"),
        description,
        priority: column.get("priority").and_then(Value::as_i64).unwrap_or(0),
        told: column.get("told").and_then(Value::as_str).map(str::to_owned),
        path: JsonPath::parse(&path).map_err(|message| error(&place("jsonPath"), message))?,
    })
}

fn cell(column: &Column, object: &Value, now: i64) -> Value {
    let found = column.path.find(object);
    // Kubernetes shows the first of several.
    let Some(value) = found.first() else {
        return Value::Null;
    };
    match column.kind {
        CellType::Integer => integer(value).map_or(Value::Null, Value::from),
        CellType::Number => value.as_f64().map_or(Value::Null, Value::from),
        CellType::Boolean => value.as_bool().map_or(Value::Null, Value::from),
        CellType::Text => text(value),
        CellType::Date => match value {
            Value::String(text) => age_of(text, now).into(),
            _ => Value::Null,
        },
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Array(elements) => i64::try_from(elements.len()).ok(),
        Value::Object(members) => i64::try_from(members.len()).ok(),
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(truncate)),
        Value::Null | Value::Bool(_) | Value::String(_) => None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a printed integer; casts from floats saturate"
)]
fn truncate(value: f64) -> i64 {
    value as i64
}

fn text(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::String(text) => text.as_str().into(),
        other => other.to_string().into(),
    }
}

fn age_of(text: &str, now: i64) -> String {
    match time::parse(text) {
        None => "<invalid>".to_owned(),
        Some(then) => age(now.saturating_sub(then)),
    }
}
