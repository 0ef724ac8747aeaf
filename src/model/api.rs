//! APIs, and the kinds of grant that each considers (N8).

use std::fmt;

use crate::base::is_same;

/// The most APIs that a policy may know, its own included (N8.5).
pub const MAX_APIS: usize = 64;

/// What a grant names (N1).
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
    /// Every kind, the most specific first (N10).
    pub const ALL: [Self; 5] = [Self::Resource, Self::Query, Self::NamedSource, Self::Pattern, Self::All];

    /// The name that a document writes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Pattern => "pattern",
            Self::Query => "query",
            Self::NamedSource => "named_source",
            Self::All => "all",
        }
    }

    /// The kind of that name.
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
    /// No kind.
    pub const NONE: Self = Self(0);
    /// Every kind.
    pub const ALL: Self = Self::of(&GrantKind::ALL);

    /// The set of just these kinds.
    pub const fn of(kinds: &[GrantKind]) -> Self {
        let mut bits = 0;
        let mut rest = kinds;
        while let [kind, others @ ..] = rest {
            bits |= 1 << *kind as u8;
            rest = others;
        }
        Self(bits)
    }

    /// Whether `kind` is among them.
    pub const fn contains(self, kind: GrantKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All kinds that are not among them.
    pub(crate) const fn others(self) -> Self {
        Self(Self::ALL.0 & !self.0)
    }

    /// The kinds, the most specific first.
    pub fn iter(self) -> impl Iterator<Item = GrantKind> {
        GrantKind::ALL.into_iter().filter(move |&kind| self.contains(kind))
    }
}

/// What a request does under an API (N8.3). Only `sql` tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Operation {
    /// Run a query.
    #[default]
    Query,
    /// An aggregate that the API itself builds over a source.
    Model,
}

impl Operation {
    /// The name that a request writes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Model => "model",
        }
    }

    /// The operation of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Query, Self::Model].into_iter().find(|operation| operation.as_str() == name)
    }
}

/// Which of a policy's APIs: its place in [`Apis`].
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

    /// The place of this API in [`Apis`], below [`MAX_APIS`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A set of APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ApiSet(u64);

impl ApiSet {
    /// Whether `api` is among them.
    pub const fn contains(self, api: ApiId) -> bool {
        self.0 & (1 << api.0) != 0
    }

    /// Adds `api`.
    pub fn insert(&mut self, api: ApiId) {
        self.0 |= 1 << api.0;
    }

    /// How many there are.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The APIs, in the order of [`Apis`].
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

/// An API: its name, and the grant kinds that its requests are checked against (N8.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Api {
    name: Box<str>,
    query: GrantKinds,
    model: GrantKinds,
}

impl Api {
    /// The name that documents and requests write.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The grant kinds considered for `operation`; none where the API needs no source, as `lds`.
    pub fn considers(&self, operation: Operation) -> GrantKinds {
        match operation {
            Operation::Query => self.query,
            Operation::Model => self.model,
        }
    }

    /// Whether a request under this API reads or writes a source; only `lds` does not.
    pub fn needs_source(&self) -> bool {
        !self.query.is_empty()
    }
}

/// Every API of a policy: the four of N8.3, then those that its documents declare (N8.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apis {
    // INVARIANT: begins with maps, sql, imports, lds; names are distinct; at most MAX_APIS.
    list: Vec<Api>,
}

/// Why an API cannot be declared (N8.5).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The name is empty.
    #[error("an API's name is empty")]
    EmptyName,
    /// The name is taken, by a built-in API or an earlier declaration.
    #[error("the API `{0}` exists already")]
    Duplicate(Box<str>),
    /// It accepts no grant kind.
    #[error("the API `{0}` accepts no kind of grant: nothing could ever be allowed")]
    AcceptsNothing(Box<str>),
    /// There are [`MAX_APIS`] already.
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

    /// The API of that name. Linear in the number of APIs, at most 64.
    #[inline]
    pub fn find(&self, name: &str) -> Option<ApiId> {
        let at = self.list.iter().position(|api| is_same(api.name.as_bytes(), name.as_bytes()))?;
        u8::try_from(at).ok().map(ApiId)
    }

    /// The API of that id; `None` if the id is another policy's.
    pub fn get(&self, id: ApiId) -> Option<&Api> {
        self.list.get(id.index())
    }

    /// All of them with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (ApiId, &Api)> {
        (0..).map(ApiId).zip(&self.list)
    }
}
