-- Receipts of offboardings, and for whom one is due.

-- Whose access an action is about, in lower case; null where nobody knows.
ALTER TABLE action ADD COLUMN identity TEXT;
UPDATE action SET identity = lower(trim(CAST(item AS json)->>'identity'));
CREATE INDEX action_identity ON action (identity) WHERE identity IS NOT NULL;
CREATE INDEX action_open_identity ON action (identity)
    WHERE state IN ('approved', 'sent', 'acknowledged', 'contradicted');

CREATE TABLE receipt (
    id           BIGINT NOT NULL PRIMARY KEY,
    -- Who left, in lower case.
    identity     TEXT   NOT NULL,
    written_at   BIGINT NOT NULL,
    -- The entry that commits to what is said; what is said stands among its openings.
    ledger_index BIGINT NOT NULL,
    -- What is counted in it.
    verified     BIGINT NOT NULL,
    void         BIGINT NOT NULL,
    not_verified BIGINT NOT NULL,
    remaining    BIGINT NOT NULL,
    unread       BIGINT NOT NULL
);
CREATE INDEX receipt_identity ON receipt (identity, id);

-- Since when somebody is known to have left. It stays until they are here again, whatever is said of their last day since.
CREATE TABLE leaving (
    identity TEXT   NOT NULL PRIMARY KEY,
    since    BIGINT NOT NULL
);

-- Whose receipt is due: of whom something was done since the last one, or who has left just now. It is written when nothing of
-- theirs is under way any more.
CREATE TABLE receipt_due (
    identity   TEXT   NOT NULL PRIMARY KEY,
    -- How often something was begun since then.
    begun      BIGINT NOT NULL,
    -- Not to be written before.
    not_before BIGINT NOT NULL
);
