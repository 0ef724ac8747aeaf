//! Declarations of documents: version, connections, APIs.

use super::explain::{self, Words};
use super::words::{list, one_of};
use super::{Declared, Lowering, Part};
use crate::definition::{self, Document, Element, Field};
use portcullis::base::{JsonPath, quoted};
use portcullis::model::{ApiError, Apis, Connection, GrantKind, GrantKinds};
use portcullis::name::Dialect;

/// The fix for tokens that declare something else than the policy that they will be added to.
const BESIDE: &str = "leave it out: only the whole policy can declare connections and APIs, or change them";

impl<'d, 't> Lowering<'d, 't> {
    pub(super) fn version(&mut self, at: usize, document: &Document<'_>) {
        if let Field::Found(version) = document.version
            && version != 1
        {
            self.report(
                at,
                JsonPath::root().key("version"),
                Part::Value,
                (
                    "version_unknown",
                    format!("version `{version}` is not known").into(),
                    "write `1`, or leave the field out".into(),
                ),
            );
        }
    }

    pub(super) fn connections(&mut self, at: usize, document: &'d Document<'t>) {
        let list = document.connections.found().map(Vec::as_slice).unwrap_or_default();
        for (index, connection) in list.iter().enumerate() {
            if let Element::Found(connection) = connection {
                self.connection(at, index, connection);
            }
        }
    }

    fn connection(&mut self, at: usize, index: usize, connection: &'d definition::Connection<'t>) {
        let path = || JsonPath::root().key("connections").index(index);
        let written = match &connection.dialect {
            Field::Missing => Some(Dialect::default()),
            Field::Wrong(_) => None,
            Field::Found(text) => {
                let dialect = text.parse::<Dialect>().ok();
                if dialect.is_none() {
                    let help = one_of(text, Dialect::NAMES);
                    let message = format!("unknown dialect {}", quoted(text));
                    self.report(
                        at,
                        path().key("dialect"),
                        Part::Value,
                        ("dialect_unknown", message.into(), help.into()),
                    );
                }
                dialect
            }
        };
        let dialect = match (written, connection.case_sensitive.found()) {
            (Some(dialect), Some(&case_sensitive)) => {
                let found = dialect.with_case_sensitive(case_sensitive);
                if found.is_none() {
                    let message = format!("a connection of dialect `{dialect}` cannot declare `case_sensitive`");
                    let help = "leave it out: only quoted names of dialect `redshift` are read in two ways";
                    let words = ("case_sensitive_unknown", message.into(), help.into());
                    self.report(at, path().key("case_sensitive"), Part::Key, words);
                }
                found
            }
            (dialect, _) => dialect,
        };
        let Field::Found(name) = &connection.name else { return };
        if name.is_empty() {
            return self.report(
                at,
                path().key("name"),
                Part::Value,
                (
                    "connection_empty",
                    "the connection's name is empty".into(),
                    "write the name that grants call it by".into(),
                ),
            );
        }
        if let Some(words) = explain::control("connection", name) {
            return self.report(at, path().key("name"), Part::Value, words);
        }
        if let Some(&Declared { document, index }) = self.declared.get(&**name) {
            let message = format!(
                "connection {} is declared already, {}",
                quoted(name),
                self.elsewhere(at, document, &format!("connections[{index}]"))
            );
            return self.report(
                at,
                path().key("name"),
                Part::Value,
                (
                    "duplicate_connection",
                    message.into(),
                    "declare each connection once, in one of the documents".into(),
                ),
            );
        }
        self.declared.insert(name, Declared { document: at, index });
        let declared =
            Connection::new(&**name, dialect.unwrap_or_default(), connection.named_sources_only.found() == Some(&true));
        let known = self.connections.find(name);
        let readable = dialect.is_some()
            && !matches!(connection.named_sources_only, Field::Wrong(_))
            && !matches!(connection.case_sensitive, Field::Wrong(_));
        if self.redeclared.is_some() && readable && known.and_then(|id| self.connections.get(id)) != Some(&declared) {
            let message = if known.is_some() {
                format!("connection {} is declared otherwise in the policy", quoted(name))
            } else {
                format!("the policy declares no connection {}", quoted(name))
            };
            self.report(at, path(), Part::Value, ("connection_changed", message.into(), BESIDE.into()));
        }
        if known.is_none() {
            self.connections.add(declared, dialect);
        }
    }

    pub(super) fn apis(&mut self, at: usize, document: &'d Document<'t>) {
        let list = document.apis.found().map(Vec::as_slice).unwrap_or_default();
        for (index, api) in list.iter().enumerate() {
            if let Element::Found(api) = api {
                self.api(at, index, api);
            }
        }
    }

    fn api(&mut self, at: usize, index: usize, api: &'d definition::Api<'t>) {
        let path = || JsonPath::root().key("apis").index(index);
        let accepts = self.accepts(at, api, &path);
        let Field::Found(name) = &api.name else { return };
        if let Some(words) = explain::control("API", name) {
            self.broken_apis.push((&**name).into());
            return self.report(at, path().key("name"), Part::Value, words);
        }
        // An unreadable list does not hide an error in the name.
        let declared = self.redeclared.as_mut().unwrap_or(&mut self.apis);
        let error = match declared.declare(name, accepts.unwrap_or(GrantKinds::ALL)) {
            Ok(_) if accepts.is_some() => return self.redeclared_api(at, &path, name),
            Ok(_) => return,
            Err(error) => error,
        };
        let message = error.to_string();
        let (path, words): (_, Words) = match error {
            ApiError::EmptyName => (
                path().key("name"),
                ("api_empty", message.into(), "write the name that tokens and requests call it by".into()),
            ),
            ApiError::Duplicate(_) => (
                path().key("name"),
                (
                    "duplicate_api",
                    format!("API {} exists already", quoted(name)).into(),
                    "declare each API once; `maps`, `sql`, `imports` and `lds` are built in".into(),
                ),
            ),
            ApiError::AcceptsNothing(_) => {
                self.broken_apis.push((&**name).into());
                (
                    path().key("accepts"),
                    (
                        "accepts_empty",
                        format!("API {} accepts no kind of grant", quoted(name)).into(),
                        format!("list at least one of {}", kinds()).into(),
                    ),
                )
            }
            ApiError::TooMany => {
                self.broken_apis.push((&**name).into());
                (path(), ("too_many_apis", message.into(), "declare fewer".into()))
            }
        };
        self.report(at, path, Part::Value, words);
    }

    /// Compares the API `name`, which was declared, with that of the policy that the tokens will be added to.
    fn redeclared_api(&mut self, at: usize, path: &dyn Fn() -> JsonPath, name: &str) {
        let Some(redeclared) = &self.redeclared else { return };
        let api = |apis: &Apis| apis.find(name).and_then(|id| apis.get(id).cloned());
        let known = api(&self.apis);
        if known != api(redeclared) {
            let message = if known.is_some() {
                format!("API {} is declared otherwise in the policy", quoted(name))
            } else {
                self.broken_apis.push(name.into());
                format!("the policy declares no API {}", quoted(name))
            };
            self.report(at, path(), Part::Value, ("api_changed", message.into(), BESIDE.into()));
        }
    }

    /// Returns the kinds that an API accepts; `None` if there is a problem, which is reported.
    fn accepts(&mut self, at: usize, api: &definition::Api<'_>, path: &dyn Fn() -> JsonPath) -> Option<GrantKinds> {
        let list = api.accepts.found()?;
        let mut kinds = Some(Vec::with_capacity(list.len()));
        for (index, element) in list.iter().enumerate() {
            let kind = element.found().and_then(|text| GrantKind::from_name(text));
            match (&mut kinds, kind) {
                (Some(kinds), Some(kind)) => kinds.push(kind),
                (None, Some(_)) => {}
                (_, None) => kinds = None,
            }
            if let (Element::Found(text), None) = (element, kind) {
                let help = match &**text {
                    "table" | "tileset" | "raster" => {
                        "write `resource`: tables, tilesets and rasters are one kind".to_owned()
                    }
                    _ => one_of(text, GrantKind::ALL.map(GrantKind::as_str)),
                };
                let message = format!("unknown kind of grant {}", quoted(text));
                self.report(
                    at,
                    path().key("accepts").index(index),
                    Part::Value,
                    ("kind_unknown", message.into(), help.into()),
                );
            }
        }
        kinds.map(|kinds| GrantKinds::of(&kinds))
    }
}

fn kinds() -> String {
    list(GrantKind::ALL.map(GrantKind::as_str))
}
