//! The fields of an object of a listing: what they are called, and which of them cannot restrict anything.

use std::collections::BTreeMap;

use anyhow::bail;
use portcullis::base::quoted;
use serde_json::{Map, Value};

/// Fields of tokens that neither restrict nor identify a request, in the form of [`plain`].
pub(super) const HARMLESS_OF_TOKENS: &[&str] = &[
    "account",
    "accountid",
    "accountname",
    "comment",
    "createdby",
    "createdbyid",
    "createdon",
    "creator",
    "creatorid",
    "description",
    "etag",
    "href",
    "labels",
    "lastmodified",
    "lastusage",
    "lastused",
    "lastusedat",
    "lastuseddate",
    "modifiedat",
    "modifiedby",
    "modifiedon",
    "notes",
    "organization",
    "organizationid",
    "organizationname",
    "owner",
    "owneremail",
    "ownerid",
    "ownername",
    "requestcount",
    "selfurl",
    "tags",
    "tenantid",
    "tokenhint",
    "tokenprefix",
    "updatedat",
    "updatedby",
    "updatedon",
    "url",
    "usage",
    "usagecount",
    "userid",
    "username",
];

/// Fields of grants that restrict nothing, in the form of [`plain`].
pub(super) const HARMLESS_OF_GRANTS: &[&str] = &[
    "comment",
    "connectionid",
    "createdat",
    "createdby",
    "createdon",
    "description",
    "id",
    "updatedat",
    "updatedby",
    "updatedon",
];

/// A field of a policy document and its names in a listing.
pub(super) struct Names {
    /// The name in a document, also the first one in a listing.
    pub(super) field: &'static str,
    /// Other names in a listing.
    pub(super) aliases: &'static [&'static str],
}

impl Names {
    pub(super) fn all(&self) -> Vec<&'static str> {
        std::iter::once(self.field).chain(self.aliases.iter().copied()).collect()
    }
}

/// Returns `lastUsedAt` and `LAST-USED_AT` as `lastusedat`.
pub(super) fn plain(name: &str) -> String {
    name.replace(['_', '-', ' '], "").to_lowercase()
}

/// The fields of an object that were not read yet.
pub(super) struct Fields<'l> {
    unread: BTreeMap<&'l str, &'l Value>,
}

impl<'l> Fields<'l> {
    pub(super) fn new(object: &'l Map<String, Value>) -> Self {
        Self { unread: object.iter().map(|(name, value)| (&**name, value)).collect() }
    }

    /// Takes the fields `names`, which mean one thing: `null` if none of them has a value, `None` if all are absent.
    ///
    /// Two different values are an error.
    pub(super) fn take(&mut self, names: &[&str]) -> anyhow::Result<Option<&'l Value>> {
        let given = names.iter().filter_map(|name| self.unread.remove(*name).map(|value| (*name, value)));
        let given: Vec<_> = given.collect();
        let mut taken: Option<(&str, &Value)> = None;
        for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
            match taken {
                Some((first, other)) if other != *value => bail!(
                    "fields `{first}` and `{name}` mean one thing and have different values\nhelp: keep one of them"
                ),
                _ => taken = Some((name, value)),
            }
        }
        Ok(taken.or_else(|| given.first().copied()).map(|(_, value)| value))
    }

    /// Takes the fields whose plain name is accepted by `is_meant`.
    pub(super) fn take_if(&mut self, is_meant: impl Fn(&str) -> bool) -> Vec<(&'l str, &'l Value)> {
        let (taken, unread) =
            std::mem::take(&mut self.unread).into_iter().partition(|(name, _)| is_meant(&plain(name)));
        self.unread = unread;
        let taken: BTreeMap<_, _> = taken;
        taken.into_iter().collect()
    }

    /// Returns the fields as those of a document: renames `renamed`, counts and drops `harmless` ones, and keeps all
    /// unread ones, which the rules of documents judge.
    pub(super) fn into_document(
        mut self,
        renamed: &[Names],
        harmless: &[&str],
        mut ignore: impl FnMut(&str),
    ) -> anyhow::Result<Map<String, Value>> {
        let mut fields = Map::new();
        for names in renamed {
            if let Some(value) = self.take(&names.all())? {
                fields.insert(names.field.to_owned(), value.clone());
            }
        }
        for (name, _) in self.take_if(|name| harmless.contains(&name)) {
            ignore(name);
        }
        for (name, value) in self.unread {
            if fields.insert(name.to_owned(), value.clone()).is_some() {
                bail!("field {} is given more than once\nhelp: keep one of them", quoted(name));
            }
        }
        Ok(fields)
    }
}
