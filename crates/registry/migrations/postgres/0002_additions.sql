-- Tokens are checked with connections, APIs and named sources. A writer that keeps them in memory compares this number, which
-- every change of them increments.
ALTER TABLE portcullis.registry ADD COLUMN declarations BIGINT NOT NULL DEFAULT 0;

CREATE FUNCTION portcullis.count_declarations() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE portcullis.registry SET declarations = declarations + 1;
    RETURN NULL;
END
$$;
CREATE TRIGGER connections_are_counted AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON portcullis.connections
    FOR EACH STATEMENT EXECUTE FUNCTION portcullis.count_declarations();
CREATE TRIGGER apis_are_counted AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON portcullis.apis
    FOR EACH STATEMENT EXECUTE FUNCTION portcullis.count_declarations();
CREATE TRIGGER named_sources_are_counted AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON portcullis.named_sources
    FOR EACH STATEMENT EXECUTE FUNCTION portcullis.count_declarations();

-- Adds a token with its trail entry and its remembered answer, and commits, in one round trip. The row of the revision is locked
-- last: tokens are inserted side by side, and wait for each other only from the revision to the commit. Fails without effect if
-- the name, the id or the answer exists, or if the token was checked with other declarations (SQLSTATE PC001): then the caller
-- makes the change in a transaction.
--
-- Each statement sees what was committed before it started, also after it waited for the lock.
CREATE FUNCTION portcullis.add_token(
    checked_with BIGINT, new_id TEXT, new_owner TEXT, new_name TEXT, new_sha256 BYTEA, new_apis TEXT, new_referers TEXT,
    new_expiration TEXT, new_created TEXT, new_searched TEXT, grant_connections TEXT[], grant_types TEXT[],
    grant_sources TEXT[], noted_at TEXT, noted_user TEXT, noted_how TEXT, noted_action TEXT, noted_after TEXT,
    answer_sha256 BYTEA, answer_expires BIGINT, answer_body BYTEA
) RETURNS BIGINT LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    next_revision BIGINT;
    found_declarations BIGINT;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'a statement must see what was committed before it' USING ERRCODE = 'PC001';
    END IF;
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    PERFORM set_config('lock_timeout', '30s', true);
    INSERT INTO portcullis.tokens
        (id, owner, name, sha256, allowed_apis, referers, expiration_date, created_at, searched)
    VALUES
        (new_id, new_owner, new_name, new_sha256, new_apis, new_referers, new_expiration, new_created, new_searched);
    INSERT INTO portcullis.grants (token, position, connection, type, source)
    SELECT new_id, position - 1, connection, type, source
    FROM unnest(grant_connections, grant_types, grant_sources) WITH ORDINALITY AS new (connection, type, source, position);
    IF answer_sha256 IS NOT NULL THEN
        INSERT INTO portcullis.tickets (kind, sha256, "user", expires, body)
        VALUES ('answer', answer_sha256, noted_user, answer_expires, answer_body);
    END IF;
    UPDATE portcullis.registry SET revision = revision + 1
    RETURNING revision, declarations INTO next_revision, found_declarations;
    IF found_declarations <> checked_with THEN
        RAISE EXCEPTION 'the declarations have changed' USING ERRCODE = 'PC001';
    END IF;
    IF EXISTS (SELECT FROM portcullis.tokens WHERE id = new_name AND id <> new_id) THEN
        RAISE EXCEPTION 'the name is the id of another token' USING ERRCODE = 'PC001';
    END IF;
    INSERT INTO portcullis.trail (revision, at, "user", how, action, kind, id, owner, after)
    VALUES (next_revision, noted_at, noted_user, noted_how, noted_action, 'token', new_id, new_owner, noted_after);
    RETURN next_revision;
END
$$;
