-- Departures that a person decided on before the source says so: a claim beside what is observed.
CREATE TABLE departure (
    id            BIGINT NOT NULL PRIMARY KEY,
    -- By its folded key: a mail address is the same in any case.
    identity      TEXT   NOT NULL,
    end_at        BIGINT NOT NULL,
    recorded_at   BIGINT NOT NULL,
    recorded_by   TEXT   NOT NULL,
    plan          TEXT   NOT NULL,
    rescinded_at  BIGINT,
    rescinded_by  TEXT
);
CREATE UNIQUE INDEX departure_in_force ON departure (identity) WHERE rescinded_at IS NULL;
