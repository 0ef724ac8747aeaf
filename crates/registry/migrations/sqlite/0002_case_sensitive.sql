-- Whether quoted names keep the case of their letters: dialect `redshift` only.
ALTER TABLE connections ADD COLUMN case_sensitive INTEGER NOT NULL DEFAULT 0 CHECK (case_sensitive IN (0, 1));
PRAGMA user_version = 2;
