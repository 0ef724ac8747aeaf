-- What the file is: "PCLR". A file of another kind is refused.
PRAGMA application_id = 0x50434c52;
PRAGMA user_version = 1;

-- One row: how many changes were committed.
CREATE TABLE registry (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL CHECK (revision >= 0)
) STRICT;
INSERT INTO registry (one, revision) VALUES (1, 0);

CREATE TABLE connections (
    name TEXT PRIMARY KEY CHECK (name <> ''),
    dialect TEXT NOT NULL,
    named_sources_only INTEGER NOT NULL CHECK (named_sources_only IN (0, 1))
) STRICT, WITHOUT ROWID;

-- Without a connection a named source may be asked of every one.
CREATE TABLE named_sources (
    name TEXT PRIMARY KEY CHECK (name <> ''),
    connection TEXT REFERENCES connections (name),
    query TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX named_sources_by_connection ON named_sources (connection);

-- `accepts` is a JSON list of kinds of grant.
CREATE TABLE apis (
    name TEXT PRIMARY KEY CHECK (name <> ''),
    accepts TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- `allowed_apis` and `referers` are JSON lists; instants are RFC 3339 in UTC.
CREATE TABLE tokens (
    id TEXT PRIMARY KEY CHECK (id <> ''),
    owner TEXT NOT NULL CHECK (owner <> ''),
    name TEXT NOT NULL,
    sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
    allowed_apis TEXT NOT NULL,
    referers TEXT NOT NULL,
    expiration_date TEXT,
    created_at TEXT,
    UNIQUE (owner, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE grants (
    token TEXT NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    connection TEXT NOT NULL REFERENCES connections (name),
    type TEXT NOT NULL CHECK (type IN ('resource', 'pattern', 'query', 'named_source', 'all')),
    source TEXT NOT NULL,
    PRIMARY KEY (token, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_by_connection ON grants (connection);

-- Counted by whoever decides requests. Not part of a revision: no decision changes.
CREATE TABLE usage (
    token TEXT PRIMARY KEY REFERENCES tokens (id) ON DELETE CASCADE,
    allowed INTEGER NOT NULL,
    last_used INTEGER NOT NULL -- seconds since 1970
) STRICT, WITHOUT ROWID;

-- OAuth clients. `urls` is a JSON object, of an `spa`; `sha256` is of the secret of an `m2m`.
CREATE TABLE clients (
    id TEXT PRIMARY KEY CHECK (id <> ''),
    kind TEXT NOT NULL CHECK (kind IN ('spa', 'm2m')),
    owner TEXT NOT NULL CHECK (owner <> ''),
    title TEXT NOT NULL,
    sha256 BLOB UNIQUE CHECK ((sha256 IS NOT NULL) = (kind = 'm2m')),
    urls TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Who did what: only ever appended to. `before` and `after` are JSON without any secret.
CREATE TABLE trail (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    revision INTEGER NOT NULL,
    at TEXT NOT NULL,
    "user" TEXT NOT NULL,
    action TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    owner TEXT,
    before TEXT,
    after TEXT
) STRICT;
CREATE TRIGGER trail_is_not_rewritten BEFORE UPDATE ON trail
BEGIN
    SELECT RAISE(ABORT, 'the trail is append-only');
END;
CREATE TRIGGER trail_is_not_shortened BEFORE DELETE ON trail
BEGIN
    SELECT RAISE(ABORT, 'the trail is append-only');
END;
