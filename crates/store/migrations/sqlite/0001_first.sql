-- Facts are intervals over epochs: `since` is the epoch that first showed a fact, `until` the one that no longer did.
-- Epochs are numbered when they end, so that "as it stood then" is a comparison of two numbers.

CREATE TABLE head (
    only_row      INTEGER PRIMARY KEY CHECK (only_row = 1),
    epoch         BIGINT NOT NULL,
    ledger_length BIGINT NOT NULL
);
INSERT INTO head (only_row, epoch, ledger_length) VALUES (1, 0, 0);

CREATE TABLE system (
    id          BIGINT NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL UNIQUE,
    generation  BIGINT NOT NULL,
    -- Raised by every enumeration that begins: an older one that is still running may no longer write.
    writer      BIGINT NOT NULL
);

CREATE TABLE epoch (
    id           BIGINT NOT NULL PRIMARY KEY,
    system       BIGINT NOT NULL,
    kind         TEXT   NOT NULL CHECK (kind IN ('enumeration', 'read_back')),
    started_at   BIGINT NOT NULL,
    ended_at     BIGINT NOT NULL,
    -- The newest epoch when this one began: read-backs numbered above it ran while it was reading.
    begun_after  BIGINT NOT NULL,
    completeness TEXT   NOT NULL CHECK (completeness IN ('complete', 'partial')),
    detail       TEXT   NOT NULL,
    facts        BIGINT NOT NULL,
    problems     BIGINT NOT NULL,
    changed      BIGINT NOT NULL
);
CREATE INDEX epoch_of_system ON epoch (system, id);

CREATE TABLE problem (
    epoch    BIGINT NOT NULL,
    position BIGINT NOT NULL,
    place    TEXT   NOT NULL,
    message  TEXT   NOT NULL,
    PRIMARY KEY (epoch, position)
);

-- Names are interned once and forever; the numbers are dense within a system.
CREATE TABLE object (
    system BIGINT NOT NULL,
    id     BIGINT NOT NULL,
    class  TEXT   NOT NULL CHECK (class IN ('account', 'entitlement', 'identity')),
    key    TEXT   NOT NULL,
    PRIMARY KEY (system, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX object_key ON object (system, class, key);

CREATE TABLE state_interval (
    system        BIGINT NOT NULL,
    object        BIGINT NOT NULL,
    aspect        TEXT   NOT NULL CHECK (aspect IN ('state', 'owner')),
    -- The epoch in which the object came, however often its state changed since.
    present_since BIGINT NOT NULL,
    since         BIGINT NOT NULL,
    until         BIGINT,
    body          TEXT   NOT NULL,
    digest        TEXT   NOT NULL,
    PRIMARY KEY (system, object, aspect, since)
);
CREATE UNIQUE INDEX state_open ON state_interval (system, object, aspect) WHERE until IS NULL;

CREATE TABLE grant_interval (
    system      BIGINT NOT NULL,
    account     BIGINT NOT NULL,
    entitlement BIGINT NOT NULL,
    since       BIGINT NOT NULL,
    until       BIGINT,
    -- The action that ended it; null where it ended without us.
    ended_by    TEXT,
    PRIMARY KEY (system, account, entitlement, since)
) WITHOUT ROWID;
CREATE UNIQUE INDEX grant_open ON grant_interval (system, account, entitlement) WHERE until IS NULL;
CREATE INDEX grant_closed ON grant_interval (until) WHERE until IS NOT NULL AND ended_by IS NULL;

-- What a system keeps beside a grant (validity, options): few grants have any, so it stands apart.
CREATE TABLE grant_qualifier (
    system      BIGINT NOT NULL,
    account     BIGINT NOT NULL,
    entitlement BIGINT NOT NULL,
    since       BIGINT NOT NULL,
    until       BIGINT,
    body        TEXT   NOT NULL,
    PRIMARY KEY (system, account, entitlement, since)
) WITHOUT ROWID;
CREATE UNIQUE INDEX grant_qualifier_open ON grant_qualifier (system, account, entitlement) WHERE until IS NULL;

CREATE TABLE containment_interval (
    system BIGINT NOT NULL,
    parent BIGINT NOT NULL,
    child  BIGINT NOT NULL,
    since  BIGINT NOT NULL,
    until  BIGINT,
    PRIMARY KEY (system, parent, child, since)
) WITHOUT ROWID;
CREATE UNIQUE INDEX containment_open ON containment_interval (system, parent, child) WHERE until IS NULL;
CREATE INDEX containment_closed ON containment_interval (until) WHERE until IS NOT NULL;

-- What was read back: an enumeration that was running then does not overrule it.
CREATE TABLE read_back (
    epoch       BIGINT NOT NULL,
    system      BIGINT NOT NULL,
    object      BIGINT NOT NULL,
    -- Null where the account itself was read.
    entitlement BIGINT
);
CREATE INDEX read_back_of_system ON read_back (system, epoch);

CREATE TABLE stage_state (
    system BIGINT NOT NULL,
    object BIGINT NOT NULL,
    aspect TEXT   NOT NULL,
    body   TEXT   NOT NULL,
    digest TEXT   NOT NULL,
    PRIMARY KEY (system, object, aspect)
);

CREATE TABLE stage_run (
    system   BIGINT NOT NULL,
    relation TEXT   NOT NULL,
    run      BIGINT NOT NULL,
    page     BIGINT NOT NULL,
    bytes    BLOB   NOT NULL,
    PRIMARY KEY (system, relation, run, page)
);

CREATE TABLE policy_revision (
    id         BIGINT NOT NULL PRIMARY KEY,
    digest     TEXT   NOT NULL,
    applied_at BIGINT NOT NULL,
    applied_by TEXT   NOT NULL,
    files      TEXT   NOT NULL
);

CREATE TABLE baseline (
    id         BIGINT NOT NULL PRIMARY KEY,
    system     TEXT   NOT NULL,
    epoch      BIGINT NOT NULL,
    until_at   BIGINT NOT NULL,
    owner      TEXT   NOT NULL,
    adopted_at BIGINT NOT NULL
);

CREATE TABLE plan (
    id         BIGINT NOT NULL PRIMARY KEY,
    hash       TEXT   NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    body       TEXT   NOT NULL
);

CREATE TABLE apply_run (
    plan     TEXT   NOT NULL PRIMARY KEY,
    begun_at BIGINT NOT NULL,
    begun_by TEXT   NOT NULL
);

CREATE TABLE guard_override (
    plan          TEXT   NOT NULL,
    guard         TEXT   NOT NULL,
    overridden_at BIGINT NOT NULL,
    overridden_by TEXT   NOT NULL,
    PRIMARY KEY (plan, guard)
);

-- Two plans from the same state name the same action alike; each has its own life of it.
CREATE TABLE action (
    plan            TEXT   NOT NULL,
    id              TEXT   NOT NULL,
    seq             BIGINT NOT NULL,
    state           TEXT   NOT NULL,
    attempts        BIGINT NOT NULL,
    next_attempt_at BIGINT,
    sent_at         BIGINT,
    read_back_at    BIGINT,
    ledger_index    BIGINT,
    reason          TEXT,
    item            TEXT   NOT NULL,
    PRIMARY KEY (plan, id)
);
CREATE INDEX action_unfinished ON action (state) WHERE state NOT IN ('verified', 'unverifiable', 'void');

CREATE TABLE action_transition (
    plan         TEXT   NOT NULL,
    action       TEXT   NOT NULL,
    seq          BIGINT NOT NULL,
    from_state   TEXT   NOT NULL,
    to_state     TEXT   NOT NULL,
    at           BIGINT NOT NULL,
    reason       TEXT,
    detail       TEXT   NOT NULL,
    ledger_index BIGINT NOT NULL,
    PRIMARY KEY (plan, action, seq)
);

CREATE TABLE ledger_entry (
    entry_index BIGINT NOT NULL PRIMARY KEY,
    bytes       BLOB   NOT NULL
);

-- What opens the commitments of an entry: personal data, erased without touching the entry.
CREATE TABLE ledger_opening (
    entry_index BIGINT NOT NULL,
    field       TEXT   NOT NULL,
    salt        TEXT   NOT NULL,
    value       TEXT   NOT NULL,
    PRIMARY KEY (entry_index, field)
);
