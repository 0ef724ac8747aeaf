PRAGMA user_version = 3;

-- `INSERT OR REPLACE` deletes the entry that it replaces without the trigger against deletion. `number` is -1 here where
-- SQLite chooses it.
CREATE TRIGGER trail_is_not_replaced BEFORE INSERT ON trail
WHEN EXISTS (SELECT 1 FROM trail WHERE number = NEW.number)
BEGIN
    SELECT RAISE(ABORT, 'the trail is append-only');
END;

-- An entry has the number after the last one, so none can be put before others or leave a gap.
CREATE TRIGGER trail_is_appended_to AFTER INSERT ON trail
WHEN NEW.number < 1
    OR EXISTS (SELECT 1 FROM trail WHERE number > NEW.number)
    OR (NEW.number > 1 AND NOT EXISTS (SELECT 1 FROM trail WHERE number = NEW.number - 1))
BEGIN
    SELECT RAISE(ABORT, 'the trail is append-only');
END;
