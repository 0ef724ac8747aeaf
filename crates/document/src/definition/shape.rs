//! The objects in a document and their fields (N11.1, N8.5).

use serde::de::{IgnoredAny, MapAccess};

use super::field::{Element, Field, Lenient, Name, Secret, Text};
use super::problem::{Problem, Problems, Report, Stray, Strays, Trail, report_strays};

/// Declares an object, its fields, and which of them it needs.
macro_rules! shape {
    (
        $(#[$meta:meta])*
        $vis:vis $name:ident { $($(#[$doc:meta])* $key:literal $field:ident: $type:ty, $need:ident $(unless $waiver:ident)?;)* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        $vis struct $name<'t> {
            $($(#[$doc])* $vis $field: Field<$type>,)*
            pub(super) strays: Strays<'t>,
        }

        impl<'t> Lenient<'t> for $name<'t> {
            const EXPECTED: &'static str = "an object";

            fn from_object<A: MapAccess<'t>>(mut map: A) -> Result<Option<Self>, A::Error> {
                let mut object = Self::default();
                while let Some(Name(name)) = map.next_key()? {
                    match &*name {
                        $($key => {
                            if !object.$field.read(&mut map)? {
                                object.strays.push(Stray::Duplicate($key));
                            }
                        })*
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            object.strays.push(Stray::Unknown(name));
                        }
                    }
                }
                Ok(Some(object))
            }

            fn problem_count(&self) -> usize {
                if self.is_sound() {
                    return 0;
                }
                let mut problems = Problems::up_to(0);
                self.report(&Trail::Root, &mut problems);
                problems.count()
            }
        }

        impl $name<'_> {
            /// Whether all fields that are required without a condition are given, and no value has a problem.
            fn is_sound(&self) -> bool {
                self.strays.is_empty() $(&& self.$field.is_sound(shape!(@ $need)))*
            }
        }

        impl Report for $name<'_> {
            fn report(&self, at: &Trail<'_>, problems: &mut Problems) {
                if self.is_sound() {
                    return;
                }
                // A misspelt field is one mistake: it is not reported as missing, too.
                let misspelt = report_strays(
                    &self.strays,
                    &[$(($key, !matches!(self.$field, Field::Missing))),*],
                    at,
                    problems,
                );
                $(
                    if shape!(@ $need) && matches!(self.$field, Field::Missing) && !misspelt.contains(&$key)
                        $(&& !self.$waiver())?
                    {
                        problems.push(at, || Problem::missing(at, $key));
                    }
                    self.$field.report(&Trail::Key(at, $key), problems);
                )*
            }
        }
    };
    (@ required) => { true };
    (@ optional) => { false };
}
pub(super) use shape;

shape! {
    /// A data warehouse.
    pub Connection {
        /// The name that grants use.
        "name" name: Text<'t>, required;
        /// The dialect of its names: quotes and letter case.
        "dialect" dialect: Text<'t>, optional;
        /// Whether queries on it are denied, whatever the grants (N8.7).
        "named_sources_only" named_sources_only: bool, optional;
        /// Whether its quoted names keep the case of their letters: `redshift` only (N2.5).
        "case_sensitive" case_sensitive: bool, optional;
    }
}

shape! {
    /// An API that the document declares (N8.5).
    pub Api {
        /// The name that tokens use.
        "name" name: Text<'t>, required;
        /// The kinds of grants that it considers, by the names of a grant's `type`.
        "accepts" accepts: Vec<Element<Text<'t>>>, required;
    }
}

shape! {
    /// A token.
    ///
    /// ```
    /// use portcullis_document::definition::{Element, Field, read};
    ///
    /// let text = r#"{"id": "a", "token": "s3cret", "allowed_apis": ["lds"], "expiration_date": null}"#;
    /// let document = read(text)?;
    /// let Some(Element::Found(token)) = document.tokens.found().and_then(|tokens| tokens.iter().next()) else { unreachable!() };
    /// assert_eq!(token.id, Field::Found("a".into()));
    /// assert_eq!(token.expiration_date, Field::Found(None));
    /// assert_eq!(token.referers, Field::Missing);
    /// # Ok::<(), portcullis_document::definition::SyntaxError>(())
    /// ```
    pub Token {
        /// The id in decisions and messages.
        "id" id: Text<'t>, required;
        /// The name for people.
        "name" name: Option<Text<'t>>, optional;
        /// The owner.
        "owner" owner: Option<Text<'t>>, optional;
        /// The secret that a client presents.
        "token" token: Secret<'t>, optional;
        /// The digest of the secret. Hidden like the secret, which may be written here by mistake.
        "token_sha256" token_sha256: Secret<'t>, optional;
        /// The APIs that it may use.
        "allowed_apis" allowed_apis: Vec<Element<Text<'t>>>, required;
        /// The sources that it may read or write.
        "grants" grants: Vec<Element<Grant<'t>>>, optional;
        /// The pages that it may be used from. `null` is rejected: it must not silently mean "no restriction".
        "referers" referers: Vec<Element<Text<'t>>>, optional;
        /// The instant at which it expires; `null` or missing: never.
        "expiration_date" expiration_date: Option<Text<'t>>, optional;
        /// The instant at which it was created.
        "created_at" created_at: Option<Text<'t>>, optional;
    }
}

shape! {
    /// The sources on one connection that a token may read or write.
    ///
    /// ```
    /// use portcullis_document::definition::{Element, read};
    ///
    /// let grant = r#"{"connection_name": "dw", "type": "all"}"#;
    /// let text = format!(r#"[{{"id": "a", "allowed_apis": ["sql"], "grants": [{grant}]}}]"#);
    /// assert!(read(&text)?.problems().is_empty());
    /// # Ok::<(), portcullis_document::definition::SyntaxError>(())
    /// ```
    pub Grant {
        /// The connection.
        "connection_name" connection_name: Text<'t>, required;
        /// The source, read by N6; optional if the type is `all`.
        "source" source: Text<'t>, required unless covers_all;
        /// The kind of the source; guessed if missing.
        "type" kind: Text<'t>, optional;
    }
}

impl Element<Token<'_>> {
    /// Returns the first `max` problems of shape of this token, number `index` of its document, and counts all of them.
    /// Allocates only for problems.
    pub(crate) fn problems(&self, index: usize, max: usize) -> Problems {
        let mut problems = Problems::up_to(max);
        self.report(&Trail::Index(&Trail::Key(&Trail::Root, "tokens"), index), &mut problems);
        problems
    }
}

impl Grant<'_> {
    fn covers_all(&self) -> bool {
        matches!(&self.kind, Field::Found(kind) if kind == "all")
    }
}
