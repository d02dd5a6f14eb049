-- Credentials are objects with a name and a state, as accounts are. SQLite cannot widen a check, so the table is made anew.
CREATE TABLE object_with_credentials (
    system BIGINT NOT NULL,
    id     BIGINT NOT NULL,
    class  TEXT   NOT NULL CHECK (class IN ('account', 'credential', 'entitlement', 'identity')),
    key    TEXT   NOT NULL,
    PRIMARY KEY (system, id)
) WITHOUT ROWID;
INSERT INTO object_with_credentials (system, id, class, key) SELECT system, id, class, key FROM object;
DROP TABLE object;
ALTER TABLE object_with_credentials RENAME TO object;
CREATE UNIQUE INDEX object_key ON object (system, class, key);
