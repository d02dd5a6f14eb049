-- Work that was asked for and is carried out by whichever process has the time: every process of a store reads this table.
CREATE TABLE task (
    id           TEXT   NOT NULL PRIMARY KEY,
    kind         TEXT   NOT NULL,
    subject      TEXT   NOT NULL,
    -- Of the tasks in a lane one runs at a time.
    lane         TEXT   NOT NULL,
    arguments    TEXT   NOT NULL,
    -- Of kind and arguments: the same work that nobody has begun is asked for once.
    digest       TEXT   NOT NULL,
    requested_by TEXT   NOT NULL,
    requested_at BIGINT NOT NULL,
    not_before   BIGINT NOT NULL,
    state        TEXT   NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    -- How often it was begun, and how often it ended with an error and was put off.
    attempts     BIGINT NOT NULL,
    failures     BIGINT NOT NULL,
    claimed_by   TEXT,
    claimed_at   BIGINT,
    claim_until  BIGINT,
    -- Raised by every claim: who was overtaken can no longer end the task.
    fence        BIGINT NOT NULL,
    ended_at     BIGINT,
    result       TEXT,
    error        TEXT
);
CREATE UNIQUE INDEX task_lane ON task (lane) WHERE state = 'running';
CREATE UNIQUE INDEX task_queued ON task (digest) WHERE state = 'queued';
CREATE INDEX task_open ON task (requested_at) WHERE state IN ('queued', 'running');
CREATE INDEX task_ended ON task (ended_at) WHERE ended_at IS NOT NULL;

-- When each system is read next, and how the last reading ended.
CREATE TABLE schedule (
    system     TEXT   NOT NULL PRIMARY KEY,
    due_at     BIGINT NOT NULL,
    started_at BIGINT,
    ended_at   BIGINT,
    outcome    TEXT   CHECK (outcome IN ('complete', 'partial', 'failed')),
    detail     TEXT,
    -- In a row.
    failures   BIGINT NOT NULL
);
