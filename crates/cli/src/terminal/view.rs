//! Data in the format that the person chose.

use serde_json::{Value, json};
use stead_kernel::{
    Error, Result,
    command::{Format, View},
};

use super::{Layout, cell};
use crate::yaml;

/// The whole text, with a newline at its end.
pub(super) fn render(view: &View, format: Format, width: Option<usize>) -> Result<String> {
    match format {
        Format::Table | Format::Wide => Ok(table(view, format == Format::Wide, width)),
        Format::Json => {
            let text = serde_json::to_string_pretty(&whole(view));
            text.map(|text| text + "\n")
                .map_err(|error| Error::internal("the data is no JSON").because(error))
        }
        Format::Yaml => yaml::print(&whole(view)),
        Format::Name => Ok(view.names.iter().flat_map(|name| [name.as_str(), "\n"]).collect()),
    }
}

fn whole(view: &View) -> Value {
    if view.list {
        return json!({"items": view.items});
    }
    view.items.first().cloned().unwrap_or(Value::Null)
}

fn table(view: &View, wide: bool, width: Option<usize>) -> String {
    let shown = |index: usize| view.columns.get(index).is_none_or(|column| wide || !column.wide);
    let mut rows = Vec::with_capacity(view.rows.len() + 1);
    let headings = view.columns.iter().enumerate().filter(|(index, _)| shown(*index));
    rows.push(
        headings
            .map(|(_, column)| column.name.clone())
            .collect::<Vec<_>>(),
    );
    for row in &view.rows {
        rows.push(
            row.iter()
                .enumerate()
                .filter(|(index, _)| shown(*index))
                .map(|(_, text)| cell(text))
                .collect(),
        );
    }
    let mut layout = Layout::new(width);
    layout.fit(&rows);
    rows.iter().map(|row| layout.line(row)).collect()
}

#[cfg(test)]
mod tests {
    use stead_kernel::command::Column;

    use super::*;

    fn view(list: bool) -> View {
        View {
            columns: vec![Column::new("NAME"), Column::wide("URL")],
            rows: vec![vec!["a".into(), "http://a".into()]],
            items: vec![json!({"name": "a"})],
            names: vec!["thing/a".into()],
            list,
        }
    }

    #[test]
    fn every_format_shows_the_same_data() {
        let show = |format, list| render(&view(list), format, None).unwrap();
        assert_eq!(show(Format::Table, true), "NAME\na\n");
        assert_eq!(show(Format::Wide, true), "NAME   URL\na      http://a\n");
        assert_eq!(
            show(Format::Json, true),
            "{\n  \"items\": [\n    {\n      \"name\": \"a\"\n    }\n  ]\n}\n"
        );
        assert_eq!(show(Format::Json, false), "{\n  \"name\": \"a\"\n}\n");
        assert_eq!(show(Format::Yaml, false), "name: a\n");
        assert_eq!(show(Format::Name, true), "thing/a\n");
    }
}
