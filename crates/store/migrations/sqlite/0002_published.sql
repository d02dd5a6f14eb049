-- How much of the ledger was published under a signed checkpoint: a log that is shorter than this was cut.
ALTER TABLE head ADD COLUMN published_length BIGINT NOT NULL DEFAULT 0;
