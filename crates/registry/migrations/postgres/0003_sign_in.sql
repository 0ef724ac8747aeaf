-- How a user signs in at an OpenID provider. `issuer` and `subject` identify the person since the first sign-in. `email` is of
-- the invitation before it, and then the address that the provider has verified last.
ALTER TABLE users
    ADD COLUMN is_disabled BOOLEAN NOT NULL DEFAULT FALSE,
    -- Whether an administrator has added the user. Other users must match the rules of the workspace at each sign-in.
    ADD COLUMN is_invited BOOLEAN NOT NULL DEFAULT TRUE,
    ADD COLUMN email TEXT COLLATE "C",
    ADD COLUMN issuer TEXT COLLATE "C",
    ADD COLUMN subject TEXT COLLATE "C" CHECK ((subject IS NULL) = (issuer IS NULL));
CREATE UNIQUE INDEX users_by_subject ON users (issuer, subject) WHERE subject IS NOT NULL;
