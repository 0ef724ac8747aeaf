PRAGMA user_version = 5;

-- How a user signs in at an OpenID provider. `issuer` and `subject` identify the person since the first sign-in. `email` is of
-- the invitation before it, and then the address that the provider has verified last.
ALTER TABLE users ADD COLUMN is_disabled INTEGER NOT NULL DEFAULT 0 CHECK (is_disabled IN (0, 1));
-- Whether an administrator has added the user. Other users must match the rules of the workspace at each sign-in.
ALTER TABLE users ADD COLUMN is_invited INTEGER NOT NULL DEFAULT 1 CHECK (is_invited IN (0, 1));
ALTER TABLE users ADD COLUMN email TEXT;
ALTER TABLE users ADD COLUMN issuer TEXT;
ALTER TABLE users ADD COLUMN subject TEXT CHECK ((subject IS NULL) = (issuer IS NULL));
CREATE UNIQUE INDEX users_by_subject ON users (issuer, subject) WHERE subject IS NOT NULL;
