-- Webhooks: who wants to be told of what the ledger records, and each message that is on its way to them.

CREATE TABLE webhook (
    id              TEXT   NOT NULL PRIMARY KEY,
    url             TEXT   NOT NULL,
    description     TEXT   NOT NULL,
    -- Names of events as a JSON list; an empty one stands for all of them.
    events          TEXT   NOT NULL,
    state           TEXT   NOT NULL CHECK (state IN ('active', 'paused', 'disabled')),
    -- Why it is disabled.
    reason          TEXT,
    -- Sealed with the servers' key. The previous one signs, too, until its instant.
    secret          TEXT   NOT NULL,
    previous_secret TEXT,
    previous_until  BIGINT,
    -- The first entry of the ledger that it is told of.
    from_entry      BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    created_by      TEXT   NOT NULL,
    delivered_at    BIGINT
);

CREATE TABLE webhook_delivery (
    id              TEXT   NOT NULL PRIMARY KEY,
    webhook         TEXT   NOT NULL,
    event           TEXT   NOT NULL,
    -- Null for a test, which is about no entry.
    entry_index     BIGINT,
    -- What is sent, byte by byte the same at every attempt.
    body            TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    state           TEXT   NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed')),
    attempts        BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    claimed_by      TEXT,
    claim_until     BIGINT,
    -- Raised by every claim: who was overtaken can no longer say how it ended.
    fence           BIGINT NOT NULL,
    attempted_at    BIGINT,
    status          BIGINT,
    error           TEXT,
    ended_at        BIGINT
);
CREATE UNIQUE INDEX webhook_delivery_once ON webhook_delivery (webhook, entry_index) WHERE entry_index IS NOT NULL;
CREATE INDEX webhook_delivery_due ON webhook_delivery (webhook, next_attempt_at) WHERE state = 'waiting';
CREATE INDEX webhook_delivery_list ON webhook_delivery (webhook, id);
CREATE INDEX webhook_delivery_state ON webhook_delivery (state);
CREATE INDEX webhook_delivery_ended ON webhook_delivery (ended_at) WHERE ended_at IS NOT NULL;

-- The first entry of the ledger that nobody was told of yet. What is there already is history.
CREATE TABLE webhook_cursor (
    only_row   BIGINT NOT NULL PRIMARY KEY CHECK (only_row = 1),
    next_entry BIGINT NOT NULL
);
INSERT INTO webhook_cursor (only_row, next_entry) SELECT 1, ledger_length FROM head;
