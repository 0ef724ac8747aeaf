//! APIs and the grant kinds that each API considers (N8).

use std::fmt;

use crate::base::{is_same, quoted};

/// The maximum number of APIs in a policy, including the built-in ones (N8.5).
pub const MAX_APIS: usize = 64;

/// The kind of source that a grant names (N1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrantKind {
    /// One fully qualified table, tileset or raster.
    Resource,
    /// A wildcard pattern over resource names.
    Pattern,
    /// One query text.
    Query,
    /// One named source.
    NamedSource,
    /// Everything on the connection.
    All,
}

impl GrantKind {
    /// Every kind, in order of decreasing specificity (N10).
    pub const ALL: [Self; 5] = [Self::Resource, Self::Query, Self::NamedSource, Self::Pattern, Self::All];

    /// Returns the name that a document uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Pattern => "pattern",
            Self::Query => "query",
            Self::NamedSource => "named_source",
            Self::All => "all",
        }
    }

    /// Returns the kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for GrantKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of grant kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct GrantKinds(u8);

impl GrantKinds {
    /// The empty set.
    pub const NONE: Self = Self(0);
    /// The set of every kind.
    pub const ALL: Self = Self::of(&GrantKind::ALL);

    /// Creates the set of `kinds`.
    pub const fn of(kinds: &[GrantKind]) -> Self {
        let mut bits = 0;
        let mut rest = kinds;
        while let [kind, tail @ ..] = rest {
            bits |= 1 << *kind as u8;
            rest = tail;
        }
        Self(bits)
    }

    /// Returns whether the set contains `kind`.
    pub const fn contains(self, kind: GrantKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// Returns whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the kinds that are not in the set.
    pub(crate) const fn complement(self) -> Self {
        Self(Self::ALL.0 & !self.0)
    }

    /// Returns the kinds, in order of decreasing specificity.
    pub fn iter(self) -> impl Iterator<Item = GrantKind> {
        GrantKind::ALL.into_iter().filter(move |&kind| self.contains(kind))
    }
}

/// The operation of a request under an API (N8.3). Only the `sql` API distinguishes operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Operation {
    /// A query that the client wrote.
    #[default]
    Query,
    /// An aggregate that the API itself builds over a source.
    Model,
}

impl Operation {
    /// Returns the name that a request uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Model => "model",
        }
    }

    /// Returns the operation with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Query, Self::Model].into_iter().find(|operation| operation.as_str() == name)
    }
}

/// The id of an API: its index in the [`Apis`] of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiId(u8);

impl ApiId {
    /// `maps`.
    pub const MAPS: Self = Self(0);
    /// `sql`.
    pub const SQL: Self = Self(1);
    /// `imports`.
    pub const IMPORTS: Self = Self(2);
    /// `lds`.
    pub const LDS: Self = Self(3);

    /// Returns the index of this API in [`Apis`], below [`MAX_APIS`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A set of APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ApiSet(u64);

impl ApiSet {
    /// Returns whether the set contains `api`.
    pub const fn contains(self, api: ApiId) -> bool {
        self.0 & (1 << api.0) != 0
    }

    /// Adds `api` to the set.
    pub fn insert(&mut self, api: ApiId) {
        self.0 |= 1 << api.0;
    }

    /// Returns the number of APIs in the set.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Returns whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the APIs, in the order of [`Apis`].
    pub fn iter(self) -> impl Iterator<Item = ApiId> {
        (0..64).map(ApiId).filter(move |&api| self.contains(api))
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

impl FromIterator<ApiId> for ApiSet {
    fn from_iter<I: IntoIterator<Item = ApiId>>(apis: I) -> Self {
        let mut set = Self::default();
        for api in apis {
            set.insert(api);
        }
        set
    }
}

/// An API: its name and the grant kinds that its requests are checked against (N8.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Api {
    name: Box<str>,
    query: GrantKinds,
    model: GrantKinds,
}

impl Api {
    /// Returns the name that documents and requests use.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the grant kinds considered for `operation`; none if the API needs no source, such as `lds`.
    pub fn considers(&self, operation: Operation) -> GrantKinds {
        match operation {
            Operation::Query => self.query,
            Operation::Model => self.model,
        }
    }

    /// Returns whether requests under this API need a source. Only `lds` needs none.
    pub fn needs_source(&self) -> bool {
        !self.query.is_empty()
    }
}

/// The APIs of a policy: the four built-in ones (N8.3), then those that documents declare (N8.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apis {
    // INVARIANT: starts with maps, sql, imports, lds; names are distinct; at most MAX_APIS.
    list: Vec<Api>,
}

/// The error for an API that cannot be declared (N8.5).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The name is empty.
    #[error("an API's name is empty")]
    EmptyName,
    /// A built-in API or an earlier declaration has the name.
    #[error("the API {} exists already", quoted(.0))]
    Duplicate(Box<str>),
    /// The API accepts no grant kind.
    #[error("the API {} accepts no kind of grant: nothing could ever be allowed", quoted(.0))]
    AcceptsNothing(Box<str>),
    /// The policy already has [`MAX_APIS`] APIs.
    #[error("a policy knows at most {MAX_APIS} APIs, the four built-in ones included")]
    TooMany,
}

impl Default for Apis {
    fn default() -> Self {
        use GrantKind::{All, NamedSource, Pattern, Query, Resource};
        let api = |name: &str, query: &[GrantKind], model: &[GrantKind]| Api {
            name: name.into(),
            query: GrantKinds::of(query),
            model: GrantKinds::of(model),
        };
        let any = &[Resource, Pattern, Query, NamedSource, All];
        let imports = &[Resource, Pattern, All];
        Self {
            list: vec![
                api("maps", any, any),
                api("sql", &[Query, NamedSource, All], any),
                api("imports", imports, imports),
                api("lds", &[], &[]),
            ],
        }
    }
}

impl Apis {
    /// Adds an API that considers `accepts` for every operation.
    ///
    /// # Errors
    ///
    /// See [`ApiError`].
    pub fn declare(&mut self, name: &str, accepts: GrantKinds) -> Result<ApiId, ApiError> {
        if name.is_empty() {
            return Err(ApiError::EmptyName);
        }
        if self.find(name).is_some() {
            return Err(ApiError::Duplicate(name.into()));
        }
        if accepts.is_empty() {
            return Err(ApiError::AcceptsNothing(name.into()));
        }
        let id =
            u8::try_from(self.list.len()).ok().filter(|&id| usize::from(id) < MAX_APIS).ok_or(ApiError::TooMany)?;
        self.list.push(Api { name: name.into(), query: accepts, model: accepts });
        Ok(ApiId(id))
    }

    /// Returns the API with this name. Linear in the number of APIs, at most 64.
    #[inline]
    pub fn find(&self, name: &str) -> Option<ApiId> {
        let at = self.list.iter().position(|api| is_same(api.name.as_bytes(), name.as_bytes()))?;
        u8::try_from(at).ok().map(ApiId)
    }

    /// Returns the API with this id; `None` if the id belongs to another policy.
    pub fn get(&self, id: ApiId) -> Option<&Api> {
        self.list.get(id.index())
    }

    /// Returns all APIs with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (ApiId, &Api)> {
        (0..).map(ApiId).zip(&self.list)
    }
}
