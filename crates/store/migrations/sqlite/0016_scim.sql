-- What identity providers push over SCIM: the resources as they stand, who is in which group, and who was deleted.

-- The one system that a token is for; null for a token that is for none in particular.
ALTER TABLE api_token ADD COLUMN system TEXT;

CREATE TABLE scim_resource (
    system      TEXT   NOT NULL,
    -- The resource type: User, Group.
    kind        TEXT   NOT NULL,
    id          TEXT   NOT NULL,
    -- userName or displayName in lower case: what is looked for, and what of some types no two have.
    name        TEXT   NOT NULL,
    -- Empty where no two resources of the type have the same name, else the id.
    name_tie    TEXT   NOT NULL,
    external_id TEXT,
    -- The resource as it is sent, without `meta`, and without members, which are rows of their own.
    document    TEXT   NOT NULL,
    version     BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    changed_at  BIGINT NOT NULL,
    PRIMARY KEY (system, kind, id)
);
CREATE UNIQUE INDEX scim_resource_name ON scim_resource (system, kind, name, name_tie);
CREATE INDEX scim_resource_external_id ON scim_resource (system, kind, external_id) WHERE external_id IS NOT NULL;

CREATE TABLE scim_member (
    system    TEXT NOT NULL,
    container TEXT NOT NULL,
    member    TEXT NOT NULL,
    -- What was sent of it beside its id.
    document  TEXT NOT NULL,
    PRIMARY KEY (system, container, member)
) WITHOUT ROWID;
CREATE INDEX scim_member_of ON scim_member (system, member, container);

-- A deleted resource is a leaver, and whoever ends their access has to know whose it was.
CREATE TABLE scim_deleted (
    system     TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    id         TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    document   TEXT   NOT NULL,
    deleted_at BIGINT NOT NULL,
    PRIMARY KEY (system, kind, id)
) WITHOUT ROWID;
CREATE INDEX scim_deleted_name ON scim_deleted (system, kind, name);

-- Numbers every group of changes, and is locked by whoever makes them.
CREATE TABLE scim_head (
    only_row BIGINT NOT NULL PRIMARY KEY CHECK (only_row = 1),
    change   BIGINT NOT NULL
);
INSERT INTO scim_head (only_row, change) VALUES (1, 0);

-- What was pushed into a system, and how much of that was read.
CREATE TABLE scim_feed (
    system        TEXT   NOT NULL PRIMARY KEY,
    -- The newest change, and the newest by which somebody's access ends.
    change        BIGINT NOT NULL,
    urgent_change BIGINT NOT NULL,
    changed_at    BIGINT NOT NULL,
    -- Since when there is something that was not read.
    unread_since  BIGINT,
    -- Every change up to this one was there when the newest reading began.
    read_change   BIGINT NOT NULL
);
