PRAGMA user_version = 4;

-- How a change was made, such as `client m2m_5h3f9w2mzq`; NULL for a command on the registry's machine.
ALTER TABLE trail ADD COLUMN how TEXT;

-- What the access tokens of a machine may read. JSON lists; `scopes` NULL means the default scopes. `earlier_secrets` lists
-- digests of rotated secrets that are still valid.
ALTER TABLE clients ADD COLUMN allowed_apis TEXT NOT NULL DEFAULT '[]';
ALTER TABLE clients ADD COLUMN grants TEXT NOT NULL DEFAULT '[]';
ALTER TABLE clients ADD COLUMN scopes TEXT;
ALTER TABLE clients ADD COLUMN earlier_secrets TEXT NOT NULL DEFAULT '[]';

-- Users without a row are developers.
CREATE TABLE users (
    name TEXT PRIMARY KEY CHECK (name <> ''),
    role TEXT NOT NULL CHECK (role IN ('developer', 'administrator', 'auditor'))
) STRICT, WITHOUT ROWID;

-- Short-lived records that are found by the digest of a secret. Not part of a revision: no decision changes.
CREATE TABLE tickets (
    kind TEXT NOT NULL CHECK (kind <> ''),
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    "user" TEXT NOT NULL,
    client TEXT REFERENCES clients (id) ON DELETE CASCADE,
    family TEXT,
    token TEXT REFERENCES tokens (id) ON DELETE CASCADE,
    expires INTEGER NOT NULL, -- seconds since 1970
    body BLOB NOT NULL,
    PRIMARY KEY (kind, sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX tickets_by_client ON tickets (client) WHERE client IS NOT NULL;
CREATE INDEX tickets_by_family ON tickets (family) WHERE family IS NOT NULL;
CREATE INDEX tickets_by_token ON tickets (token) WHERE token IS NOT NULL;
CREATE INDEX tickets_by_user ON tickets ("user");
CREATE INDEX tickets_by_expiry ON tickets (expires);

-- The keys of sorted pages. They are never NULL, so that a page can start after any row.
ALTER TABLE tokens ADD COLUMN created_key TEXT GENERATED ALWAYS AS (coalesce(created_at, '')) VIRTUAL;
ALTER TABLE tokens ADD COLUMN expiry_key TEXT GENERATED ALWAYS AS (coalesce(expiration_date, '~')) VIRTUAL;
CREATE INDEX tokens_by_created ON tokens (created_key, id);
CREATE INDEX tokens_by_owner_created ON tokens (owner, created_key, id);
CREATE INDEX tokens_by_name ON tokens (name COLLATE NOCASE, id);
CREATE INDEX tokens_by_owner_name ON tokens (owner, name COLLATE NOCASE, id);
CREATE INDEX tokens_by_expiry ON tokens (expiry_key, id);
CREATE INDEX tokens_by_owner_expiry ON tokens (owner, expiry_key, id);

-- The searched text of a token: id, name, owner, APIs, connections and sources, one a line. An edited text gets a new number.
CREATE TABLE token_texts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    token TEXT NOT NULL UNIQUE REFERENCES tokens (id) ON DELETE CASCADE,
    text TEXT NOT NULL
) STRICT;
-- One row: the number up to which texts are in the index. The workspace moves it: indexing takes longer than adding a token.
CREATE TABLE token_search_end (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL
) STRICT;
INSERT INTO token_search_end (one, number) VALUES (1, 0);
-- Without positions: matches are candidates, whose text is then compared.
CREATE VIRTUAL TABLE token_search USING fts5 (
    text, content = 'token_texts', content_rowid = 'number', tokenize = 'trigram', detail = 'none'
);
CREATE TRIGGER token_texts_are_unindexed AFTER DELETE ON token_texts
WHEN OLD.number <= (SELECT number FROM token_search_end)
BEGIN
    INSERT INTO token_search (token_search, rowid, text) VALUES ('delete', OLD.number, OLD.text);
END;
INSERT INTO token_texts (token, text)
SELECT
    id,
    concat_ws(
        char(10), id, name, owner,
        (SELECT group_concat(value, char(10)) FROM json_each(iif(json_valid(allowed_apis), allowed_apis, '[]'))),
        (SELECT group_concat(connection || char(10) || source, char(10)) FROM grants WHERE grants.token = tokens.id)
    )
FROM tokens;
