-- Those who sign in, and what shows that it is them. Secrets are stored as hashes, or sealed with a key that is not here.
CREATE TABLE app_user (
    id             TEXT   NOT NULL PRIMARY KEY,
    mail           TEXT   NOT NULL,
    -- In small letters: a mail address is the same in any case.
    mail_folded    TEXT   NOT NULL UNIQUE,
    name           TEXT   NOT NULL,
    -- The roles that were given, as a JSON list of names.
    roles          TEXT   NOT NULL,
    state          TEXT   NOT NULL CHECK (state IN ('active', 'suspended')),
    password_hash  TEXT,
    -- Whether the password is long enough to be the only factor.
    password_alone BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    last_sign_in_at BIGINT,
    -- Raised by every change: who changes what they read a while ago is told.
    version        BIGINT NOT NULL
);

-- A link that stands for a sign-in, once and until it expires: the first administrator's, an invitation's.
CREATE TABLE sign_in_link (
    token_hash TEXT   NOT NULL PRIMARY KEY,
    kind       TEXT   NOT NULL CHECK (kind IN ('setup', 'invitation', 'sign_in')),
    user_id    TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT
);

CREATE TABLE session (
    id           TEXT   NOT NULL PRIMARY KEY,
    token_hash   TEXT   NOT NULL UNIQUE,
    user_id      TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    -- When its user last showed that it is them.
    confirmed_at BIGINT NOT NULL,
    source       TEXT   NOT NULL,
    browser      TEXT   NOT NULL,
    -- How the user signed in.
    method       TEXT   NOT NULL
);
CREATE INDEX session_of_user ON session (user_id);

CREATE TABLE api_token (
    id           TEXT   NOT NULL PRIMARY KEY,
    token_hash   TEXT   NOT NULL UNIQUE,
    user_id      TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    scopes       TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    last_used_at BIGINT,
    revoked_at   BIGINT
);
CREATE INDEX api_token_of_user ON api_token (user_id);

CREATE TABLE one_time_code (
    user_id       TEXT   NOT NULL PRIMARY KEY,
    sealed_secret TEXT   NOT NULL,
    -- Null until the user has shown that their device makes the right codes.
    confirmed_at  BIGINT,
    -- The newest step that was accepted: no code is accepted twice.
    last_step     BIGINT NOT NULL
);

CREATE TABLE recovery_code (
    user_id   TEXT NOT NULL,
    code_hash TEXT NOT NULL,
    used_at   BIGINT,
    PRIMARY KEY (user_id, code_hash)
);

CREATE TABLE passkey (
    credential   TEXT   NOT NULL PRIMARY KEY,
    user_id      TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    body         TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT
);
CREATE INDEX passkey_of_user ON passkey (user_id);

-- A user as an OpenID provider knows them.
CREATE TABLE provider_user (
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (issuer, subject)
);

-- Sign-ins that were tried in a row without success, by what they are counted for.
CREATE TABLE sign_in_failure (
    counted_for TEXT   NOT NULL PRIMARY KEY,
    failures    BIGINT NOT NULL,
    last_at     BIGINT NOT NULL
);

-- A browser that a user signed in with before: what strangers fail at does not slow it down.
CREATE TABLE known_browser (
    token_hash   TEXT   NOT NULL,
    user_id      TEXT   NOT NULL,
    last_used_at BIGINT NOT NULL,
    PRIMARY KEY (token_hash, user_id)
);

-- The answer to a call that was sent with a key: the same call with the same key gets it again.
CREATE TABLE idempotent_answer (
    user_id      TEXT   NOT NULL,
    key          TEXT   NOT NULL,
    request_hash TEXT   NOT NULL,
    -- Null while the first call still runs.
    status       BIGINT,
    headers      TEXT   NOT NULL,
    body         TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (user_id, key)
);
