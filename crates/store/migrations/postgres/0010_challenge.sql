-- Challenges of passkeys that were answered: each counts once, and is kept until it would have expired anyway.
CREATE TABLE used_challenge (
    challenge_hash TEXT   NOT NULL PRIMARY KEY,
    expires_at     BIGINT NOT NULL
);
