-- What an action of ours closed or stopped, by the epoch whose read-back saw it: Leasehold may open it again.
CREATE TABLE closed_object (
    system BIGINT NOT NULL,
    object BIGINT NOT NULL,
    epoch  BIGINT NOT NULL,
    action TEXT   NOT NULL,
    PRIMARY KEY (system, object, epoch)
);
-- Who answers for a non-human, by a person's word: a claim beside what is observed.
CREATE TABLE ownership (
    id            BIGINT NOT NULL PRIMARY KEY,
    -- By its folded key.
    identity      TEXT   NOT NULL,
    owner         TEXT   NOT NULL,
    recorded_at   BIGINT NOT NULL,
    recorded_by   TEXT   NOT NULL,
    replaced_at   BIGINT
);
CREATE UNIQUE INDEX ownership_in_force ON ownership (identity) WHERE replaced_at IS NULL;
-- Non-humans that are stopped, watched for use, and then end.
CREATE TABLE retirement (
    id            BIGINT NOT NULL PRIMARY KEY,
    -- By its folded key.
    identity      TEXT   NOT NULL,
    begun_at      BIGINT NOT NULL,
    recorded_by   TEXT   NOT NULL,
    finished_at   BIGINT,
    finished_by   TEXT,
    rescinded_at  BIGINT,
    rescinded_by  TEXT
);
CREATE UNIQUE INDEX retirement_in_force ON retirement (identity) WHERE rescinded_at IS NULL;
