-- Sign-in by an OpenID provider: what the provider says somebody is, which of its sessions a session follows, and which
-- of its words about an ended session were heard.

-- The roles that follow from the groups which the provider named at the last sign-in, as a JSON list of names.
ALTER TABLE app_user ADD COLUMN provider_roles TEXT NOT NULL DEFAULT '[]';

-- Null where the user did not sign in by the provider; the provider's own name of its session, where it gives one.
ALTER TABLE session ADD COLUMN provider_issuer TEXT;
ALTER TABLE session ADD COLUMN provider_subject TEXT;
ALTER TABLE session ADD COLUMN provider_session TEXT;
CREATE INDEX session_of_provider ON session (provider_issuer, provider_subject) WHERE provider_issuer IS NOT NULL;

-- Logout tokens that were used: each counts once.
CREATE TABLE provider_logout (
    issuer     TEXT   NOT NULL,
    token_id   TEXT   NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, token_id)
);
