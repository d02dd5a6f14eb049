-- A program that asks for a token, and waits until somebody who is signed in allows it (RFC 8628). Both codes are stored
-- as hashes; the row is gone once the token was taken.
CREATE TABLE device_login (
    device_hash      TEXT   NOT NULL PRIMARY KEY,
    user_code_hash   TEXT   NOT NULL UNIQUE,
    -- What it calls itself, and the address that it asked from.
    client           TEXT   NOT NULL,
    source           TEXT   NOT NULL,
    -- The scopes that it asks for, as a JSON list of names.
    scopes           TEXT   NOT NULL,
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    -- How long it has to wait between two questions; longer each time that it does not.
    interval_seconds BIGINT NOT NULL,
    asked_at         BIGINT,
    state            TEXT   NOT NULL CHECK (state IN ('pending', 'allowed', 'refused')),
    -- Whose token it gets, once it is allowed, and the mail address of who allowed it.
    user_id          TEXT,
    decided_by       TEXT
);
CREATE INDEX device_login_by_end ON device_login (expires_at);
