-- All texts are compared byte by byte, as in SQLite: neither the order of lists nor an index depends on a locale.

-- One row: the number of committed changes, and the number of the last migration. Writers lock this row.
CREATE TABLE registry (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    revision BIGINT NOT NULL CHECK (revision >= 0),
    schema INTEGER NOT NULL
);
INSERT INTO registry (one, revision, schema) VALUES (1, 0, 0);

-- Followers listen for the revision of each commit.
CREATE FUNCTION announce_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('portcullis', NEW.revision::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER revision_is_announced AFTER UPDATE ON registry
    FOR EACH ROW WHEN (NEW.revision <> OLD.revision) EXECUTE FUNCTION announce_revision();

-- Only dialect `redshift` can be case-sensitive.
CREATE TABLE connections (
    name TEXT COLLATE "C" PRIMARY KEY CHECK (name <> ''),
    dialect TEXT COLLATE "C" NOT NULL,
    case_sensitive BOOLEAN NOT NULL,
    named_sources_only BOOLEAN NOT NULL
);

-- Without a connection, a named source is on every connection.
CREATE TABLE named_sources (
    name TEXT COLLATE "C" PRIMARY KEY CHECK (name <> ''),
    connection TEXT COLLATE "C" REFERENCES connections (name),
    query TEXT COLLATE "C" NOT NULL
);
CREATE INDEX named_sources_by_connection ON named_sources (connection);

-- `accepts` is a JSON list of kinds of grant.
CREATE TABLE apis (
    name TEXT COLLATE "C" PRIMARY KEY CHECK (name <> ''),
    accepts TEXT COLLATE "C" NOT NULL CHECK (accepts::json IS NOT NULL)
);

-- `allowed_apis` and `referers` are JSON lists; instants are RFC 3339 in UTC. The keys of sorted pages are never NULL, so that
-- a page can start after any row. `searched` has id, name, owner, APIs, connections and sources in lower case, one a line.
CREATE TABLE tokens (
    id TEXT COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    owner TEXT COLLATE "C" NOT NULL CHECK (owner <> ''),
    name TEXT COLLATE "C" NOT NULL,
    sha256 BYTEA NOT NULL UNIQUE CHECK (length(sha256) = 32),
    allowed_apis TEXT COLLATE "C" NOT NULL CHECK (allowed_apis::json IS NOT NULL),
    referers TEXT COLLATE "C" NOT NULL CHECK (referers::json IS NOT NULL),
    expiration_date TEXT COLLATE "C",
    created_at TEXT COLLATE "C",
    searched TEXT COLLATE "C" NOT NULL,
    created_key TEXT COLLATE "C" GENERATED ALWAYS AS (coalesce(created_at, '')) STORED,
    expiry_key TEXT COLLATE "C" GENERATED ALWAYS AS (coalesce(expiration_date, '~')) STORED,
    name_key TEXT COLLATE "C" GENERATED ALWAYS AS (lower(name)) STORED,
    UNIQUE (owner, name)
);
CREATE INDEX tokens_with_name ON tokens (name);
CREATE INDEX tokens_by_created ON tokens (created_key, id);
CREATE INDEX tokens_by_owner_created ON tokens (owner, created_key, id);
CREATE INDEX tokens_by_name ON tokens (name_key, id);
CREATE INDEX tokens_by_owner_name ON tokens (owner, name_key, id);
CREATE INDEX tokens_by_expiry ON tokens (expiry_key, id);
CREATE INDEX tokens_by_owner_expiry ON tokens (owner, expiry_key, id);

-- Finds texts anywhere. The extension comes with PostgreSQL; where it may not be created, a search reads all tokens.
DO $$
DECLARE
    extension_schema TEXT;
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    SELECT nspname INTO extension_schema
    FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'pg_trgm';
    EXECUTE format(
        'CREATE INDEX tokens_by_text ON tokens USING gin (searched %I.gin_trgm_ops) WITH (fastupdate = off)',
        extension_schema
    );
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
    RAISE NOTICE 'without the extension pg_trgm, a search reads all tokens';
END
$$;

CREATE TABLE grants (
    token TEXT COLLATE "C" NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    connection TEXT COLLATE "C" NOT NULL REFERENCES connections (name),
    type TEXT COLLATE "C" NOT NULL CHECK (type IN ('resource', 'pattern', 'query', 'named_source', 'all')),
    source TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (token, position)
);
CREATE INDEX grants_by_connection ON grants (connection);
CREATE INDEX grants_of_named_sources ON grants (md5(source)) WHERE type = 'named_source';

-- Counted by servers. Not part of a revision: no decision changes.
CREATE TABLE usage (
    token TEXT COLLATE "C" PRIMARY KEY REFERENCES tokens (id) ON DELETE CASCADE,
    allowed BIGINT NOT NULL,
    last_used BIGINT NOT NULL -- seconds since 1970
);

-- OAuth clients. `urls` is a JSON object of an `spa`; `sha256` is the digest of the secret of an `m2m`. The other texts are
-- JSON lists: what the access tokens of a machine may read, its scopes (NULL: the default scopes), and the digests of rotated
-- secrets that are still valid.
CREATE TABLE clients (
    id TEXT COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    kind TEXT COLLATE "C" NOT NULL CHECK (kind IN ('spa', 'm2m')),
    owner TEXT COLLATE "C" NOT NULL CHECK (owner <> ''),
    title TEXT COLLATE "C" NOT NULL,
    sha256 BYTEA UNIQUE CHECK ((sha256 IS NOT NULL) = (kind = 'm2m')),
    urls TEXT COLLATE "C" NOT NULL CHECK (urls::json IS NOT NULL),
    created_at TEXT COLLATE "C" NOT NULL,
    allowed_apis TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    grants TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    scopes TEXT COLLATE "C",
    earlier_secrets TEXT COLLATE "C" NOT NULL DEFAULT '[]'
);

-- Users without a row are developers.
CREATE TABLE users (
    name TEXT COLLATE "C" PRIMARY KEY CHECK (name <> ''),
    role TEXT COLLATE "C" NOT NULL CHECK (role IN ('developer', 'administrator', 'auditor'))
);

-- Short-lived records that are found by the digest of a secret. Not part of a revision: no decision changes.
CREATE TABLE tickets (
    kind TEXT COLLATE "C" NOT NULL CHECK (kind <> ''),
    sha256 BYTEA NOT NULL CHECK (length(sha256) = 32),
    "user" TEXT COLLATE "C" NOT NULL,
    client TEXT COLLATE "C" REFERENCES clients (id) ON DELETE CASCADE,
    family TEXT COLLATE "C",
    token TEXT COLLATE "C" REFERENCES tokens (id) ON DELETE CASCADE,
    expires BIGINT NOT NULL, -- seconds since 1970
    body BYTEA NOT NULL,
    PRIMARY KEY (kind, sha256)
);
CREATE INDEX tickets_by_client ON tickets (client) WHERE client IS NOT NULL;
CREATE INDEX tickets_by_family ON tickets (family) WHERE family IS NOT NULL;
CREATE INDEX tickets_by_token ON tickets (token) WHERE token IS NOT NULL;
CREATE INDEX tickets_by_user ON tickets ("user");
CREATE INDEX tickets_by_expiry ON tickets (expires);

-- Every change, append-only. `how` is such as `client m2m_5h3f9w2mzq`; NULL for a command. `before` and `after` are JSON without
-- any secret.
CREATE TABLE trail (
    number BIGINT PRIMARY KEY,
    revision BIGINT NOT NULL,
    at TEXT COLLATE "C" NOT NULL,
    "user" TEXT COLLATE "C" NOT NULL,
    how TEXT COLLATE "C",
    action TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    owner TEXT COLLATE "C",
    before TEXT COLLATE "C",
    after TEXT COLLATE "C"
);

CREATE FUNCTION refuse_change_of_trail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the trail is append-only';
END
$$;
CREATE TRIGGER trail_is_not_rewritten BEFORE UPDATE OR DELETE ON trail
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_trail();
CREATE TRIGGER trail_is_not_shortened BEFORE TRUNCATE ON trail
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_trail();

-- An entry has the number after the last one, so there are no gaps. A sequence would leave one after each rollback.
CREATE FUNCTION number_trail_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    next BIGINT := (SELECT coalesce(max(number), 0) + 1 FROM portcullis.trail);
BEGIN
    IF NEW.number IS NULL THEN
        NEW.number := next;
    ELSIF NEW.number <> next THEN
        RAISE EXCEPTION 'the trail is append-only';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER trail_is_appended_to BEFORE INSERT ON trail
    FOR EACH ROW EXECUTE FUNCTION number_trail_entry();
