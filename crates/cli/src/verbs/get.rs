//! `stead get`: objects as tables, JSON, YAML or names.

use clap::{Arg, ArgAction, ArgMatches};
use serde_json::Value;
use stead_kernel::{
    Result,
    command::{Column, Format, Terminal as _, View},
};

use super::{Call, selector, words};
use crate::{
    arguments::text,
    json::{at, items_at, text_at},
    report::usage,
    resource::{Chosen, Discovery, Resource, hide_managed_fields, name, project, version, view},
    server::{Accept, Api, Change, Query, Watch},
    terminal::{Layout, cell},
    yaml,
};

pub(super) fn spec() -> clap::Command {
    clap::Command::new("get")
        .about("Shows objects: stead get KIND [NAME…]")
        .arg(words().required(true))
        .arg(selector())
        .arg(
            Arg::new("field-selector")
                .long("field-selector")
                .value_name("FIELDS")
                .help("Only objects with these fields: metadata.name=x"),
        )
        .arg(
            Arg::new("watch")
                .short('w')
                .long("watch")
                .action(ArgAction::SetTrue)
                .help("Goes on showing changes"),
        )
        .arg(
            Arg::new("show-managed-fields")
                .long("show-managed-fields")
                .action(ArgAction::SetTrue)
                .help("Who manages which field, too (json, yaml)"),
        )
}

pub(super) async fn run(matches: ArgMatches, call: Call) -> Result<()> {
    let api = call.api()?;
    let discovery = Discovery::load(&api).await?;
    let chosen = Call::chosen(&matches, &discovery)?;
    let mut query = Query::default();
    for (argument, parameter) in [("selector", "labelSelector"), ("field-selector", "fieldSelector")] {
        if let Some(selector) = text(&matches, argument) {
            query.set(parameter, selector);
        }
    }
    let selects = query != Query::default();
    let named = chosen.iter().any(|chosen| chosen.name.is_some());
    if selects && named {
        return Err(usage("give names or a selector, not both"));
    }
    if named && call.globals.all_projects {
        return Err(usage(
            "a name is looked up in one project: leave out --all-namespaces",
        ));
    }
    let get = Get {
        managed_fields: matches.get_flag("show-managed-fields"),
        api,
        query,
        call,
    };
    if matches.get_flag("watch") {
        return get.watch(&chosen).await;
    }
    if get.call.is_table() {
        get.tables(&chosen).await
    } else {
        get.objects(chosen).await
    }
}

struct Get {
    api: Api,
    call: Call,
    query: Query,
    managed_fields: bool,
}

impl Get {
    /// Asks for a chosen object, or the list of a chosen kind.
    async fn fetch(&self, chosen: &Chosen, accept: Accept) -> Result<Value> {
        let resource = &chosen.resource;
        match &chosen.name {
            Some(name) => {
                self.api
                    .get_as(&resource.object(&self.call.globals.project, name), accept)
                    .await
            }
            None => {
                self.api
                    .list(
                        &resource.collection(self.call.list_project()),
                        &self.query,
                        accept,
                    )
                    .await
            }
        }
    }

    /// Prints as JSON, YAML or names: one object that was named as it is, everything else as a list.
    async fn objects(&self, chosen: Vec<Chosen>) -> Result<()> {
        let single = matches!(chosen.as_slice(), [Chosen { name: Some(_), .. }]);
        let mut objects = Vec::new();
        for chosen in chosen {
            let mut answer = self.fetch(&chosen, Accept::Objects).await?;
            if chosen.name.is_some() {
                objects.push((chosen.resource, answer));
                continue;
            }
            let items = answer
                .get_mut("items")
                .and_then(Value::as_array_mut)
                .map(std::mem::take);
            for item in items.unwrap_or_default() {
                objects.push((chosen.resource.clone(), complete(item, &chosen.resource)));
            }
        }
        for (_, object) in objects.iter_mut().filter(|_| !self.managed_fields) {
            hide_managed_fields(object);
        }
        self.call.screen.print(&view(objects, !single))
    }

    /// Prints a table for each kind.
    async fn tables(&self, chosen: &[Chosen]) -> Result<()> {
        let mut groups: Vec<(&Resource, Vec<Value>)> = Vec::new();
        for chosen in chosen {
            let table = self.fetch(chosen, Accept::Table).await?;
            match groups
                .last_mut()
                .filter(|(resource, _)| **resource == chosen.resource)
            {
                Some((_, tables)) => tables.push(table),
                None => groups.push((&chosen.resource, vec![table])),
            }
        }
        let several = groups.len() > 1;
        let mut first = true;
        for (resource, tables) in groups {
            let sheet = Sheet {
                resource,
                prefix: several,
                projects: self.shows_projects(resource),
            };
            let view = sheet.view(&tables);
            if view.rows.is_empty() {
                if !several {
                    self.call.screen.note(&self.nothing(resource));
                }
                continue;
            }
            if !std::mem::take(&mut first) {
                self.call.screen.write("\n")?;
            }
            self.call.screen.print(&view)?;
        }
        if first && several {
            self.call.screen.note("nothing found");
        }
        Ok(())
    }

    fn shows_projects(&self, resource: &Resource) -> bool {
        resource.namespaced && self.call.globals.all_projects
    }

    fn nothing(&self, resource: &Resource) -> String {
        match self.call.list_project().filter(|_| resource.namespaced) {
            Some(project) => format!("no {} in project {project}", resource.plural),
            None => format!("no {}", resource.plural),
        }
    }

    /// Prints what is there, then every change, until Ctrl-C.
    async fn watch(&self, chosen: &[Chosen]) -> Result<()> {
        let [only] = chosen else {
            return Err(usage("one kind, or one object, can be watched at a time"));
        };
        let Chosen { resource, name } = only;
        let mut query = self.query.clone();
        if let Some(name) = name {
            query.set("fieldSelector", format!("metadata.name={name}"));
        }
        let path = resource.collection(self.call.list_project());
        let accept = if self.call.is_table() {
            Accept::Table
        } else {
            Accept::Objects
        };
        let mut feed = Feed {
            get: self,
            sheet: Sheet {
                resource,
                prefix: false,
                projects: self.shows_projects(resource),
            },
            layout: Layout::new(self.call.screen.width()),
            columns: None,
        };
        loop {
            let list = self.api.list(&path, &query, accept).await?;
            if name.is_some() && is_empty(&list) {
                // The server's own words for what is not there.
                self.fetch(only, Accept::Objects).await?;
            }
            feed.show_list(&list)?;
            let mut watch = Watch::new(
                self.api.clone(),
                path.clone(),
                query.clone(),
                accept,
                version(&list),
            );
            while let Change::Changed(object) | Change::Deleted(object) = watch.next().await? {
                feed.show(&object)?;
            }
            self.call
                .screen
                .note("some changes were missed; this is the present state:");
        }
    }
}

fn is_empty(list: &Value) -> bool {
    ["rows", "items"]
        .into_iter()
        .all(|part| list[part].as_array().is_none_or(Vec::is_empty))
}

/// Items of lists lack what the list says once.
fn complete(mut item: Value, resource: &Resource) -> Value {
    let Some(fields) = item.as_object_mut() else {
        return item;
    };
    if fields.contains_key("kind") {
        return item;
    }
    let mut whole = serde_json::Map::new();
    whole.insert("apiVersion".into(), resource.api_version().into());
    whole.insert("kind".into(), resource.kind.as_str().into());
    whole.append(fields);
    Value::Object(whole)
}

/// How a table that the server laid out is shown.
struct Sheet<'a> {
    resource: &'a Resource,
    /// Whether names are led by their kind.
    prefix: bool,
    /// Whether there is a column of projects.
    projects: bool,
}

impl Sheet<'_> {
    fn view(&self, tables: &[Value]) -> View {
        let rows = tables.iter().flat_map(|table| self.rows(table)).collect();
        let columns = tables
            .first()
            .map(|table| self.columns(table))
            .unwrap_or_default();
        View {
            columns,
            rows,
            list: true,
            ..View::default()
        }
    }

    fn columns(&self, table: &Value) -> Vec<Column> {
        let mut columns = Vec::new();
        if self.projects {
            columns.push(Column::new("NAMESPACE"));
        }
        let Some(definitions) = at(table, "/columnDefinitions").as_array() else {
            columns.push(Column::new("NAME"));
            return columns;
        };
        for definition in definitions {
            let name = text_at(definition, "/name").to_uppercase();
            columns.push(Column {
                name,
                wide: at(definition, "/priority").as_i64().unwrap_or(0) > 0,
            });
        }
        columns
    }

    fn rows(&self, table: &Value) -> Vec<Vec<String>> {
        if let Some(rows) = at(table, "/rows").as_array() {
            return rows
                .iter()
                .map(|row| self.row(at(row, "/object"), at(row, "/cells").as_array()))
                .collect();
        }
        // A server that knows no tables sends objects.
        match at(table, "/items").as_array() {
            Some(items) => items.iter().map(|item| self.row(item, None)).collect(),
            None => vec![self.row(table, None)],
        }
    }

    fn row(&self, object: &Value, cells: Option<&Vec<Value>>) -> Vec<String> {
        let mut row = Vec::new();
        if self.projects {
            row.push(project(object).unwrap_or_default().to_owned());
        }
        let mut texts: Vec<String> = match cells {
            Some(cells) => cells.iter().map(cell_text).collect(),
            None => vec![name(object).to_owned()],
        };
        if let Some(first) = texts.first_mut().filter(|_| self.prefix) {
            *first = format!("{}/{first}", self.resource.label());
        }
        row.append(&mut texts);
        row
    }
}

fn cell_text(value: &Value) -> String {
    match value {
        Value::Null => "<none>".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What a watch prints.
struct Feed<'a> {
    get: &'a Get,
    sheet: Sheet<'a>,
    layout: Layout,
    /// The columns, once a table said them.
    columns: Option<Vec<Column>>,
}

impl Feed<'_> {
    fn show_list(&mut self, list: &Value) -> Result<()> {
        if self.get.call.is_table() {
            return self.show_rows(list);
        }
        for item in items_at(list, "/items") {
            self.show(&complete(item.clone(), self.sheet.resource))?;
        }
        Ok(())
    }

    fn show(&mut self, object: &Value) -> Result<()> {
        if self.get.call.is_table() {
            return self.show_rows(object);
        }
        let mut object = object.clone();
        if !self.get.managed_fields {
            hide_managed_fields(&mut object);
        }
        let text = match self.get.call.globals.format {
            Format::Yaml => format!("---\n{}", yaml::print(&object)?),
            Format::Name => format!("{}/{}\n", self.sheet.resource.label(), name(&object)),
            // A line each, so that they can be read one by one.
            Format::Json | Format::Table | Format::Wide => format!("{object}\n"),
        };
        self.get.call.screen.write(&text)
    }

    fn show_rows(&mut self, table: &Value) -> Result<()> {
        let mut lines = Vec::new();
        if self.columns.is_none() {
            let columns = self.sheet.columns(table);
            lines.push(self.shown(
                &columns,
                columns.iter().map(|column| column.name.clone()).collect(),
            ));
            self.columns = Some(columns);
        }
        let columns = self.columns.clone().unwrap_or_default();
        lines.extend(
            self.sheet
                .rows(table)
                .into_iter()
                .map(|row| self.shown(&columns, row)),
        );
        self.layout.fit(&lines);
        let text: String = lines.iter().map(|line| self.layout.line(line)).collect();
        self.get.call.screen.write(&text)
    }

    fn shown(&self, columns: &[Column], row: Vec<String>) -> Vec<String> {
        let wide = self.get.call.globals.format == Format::Wide;
        let is_shown = |index: usize| columns.get(index).is_none_or(|column| wide || !column.wide);
        row.into_iter()
            .enumerate()
            .filter(|(index, _)| is_shown(*index))
            .map(|(_, text)| cell(&text))
            .collect()
    }
}
