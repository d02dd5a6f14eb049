-- Links that give whoever opens them a new credential of one account, once. The secret itself is never here.
CREATE TABLE credential_link (
    id            TEXT   NOT NULL PRIMARY KEY,
    token_hash    TEXT   NOT NULL UNIQUE,
    system        TEXT   NOT NULL,
    account_key   TEXT   NOT NULL,
    login         TEXT   NOT NULL,
    -- Whose account it was when the link was made.
    identity      TEXT   NOT NULL,
    -- The credential that the new one replaces, and for how long both stay.
    replaces      TEXT,
    overlap_ms    BIGINT NOT NULL,
    state         TEXT   NOT NULL,
    made_by       TEXT   NOT NULL,
    made_at       BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    opened_at     BIGINT,
    ended_at      BIGINT,
    -- What came of it, for people.
    remark        TEXT
);
CREATE INDEX credential_link_made_at ON credential_link (made_at);
-- Credentials that have a successor: from `revoke_at` on each must be gone.
CREATE TABLE replaced_credential (
    system        TEXT   NOT NULL,
    credential    TEXT   NOT NULL,
    link          TEXT   NOT NULL,
    replaced_at   BIGINT NOT NULL,
    revoke_at     BIGINT NOT NULL,
    PRIMARY KEY (system, credential)
);
