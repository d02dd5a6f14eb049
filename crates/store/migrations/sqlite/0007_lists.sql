-- What lists of plans and actions need without reading each one whole, and the course of drift.
ALTER TABLE plan ADD COLUMN items BIGINT NOT NULL DEFAULT 0;
ALTER TABLE plan ADD COLUMN left_alone BIGINT NOT NULL DEFAULT 0;
ALTER TABLE plan ADD COLUMN guards BIGINT NOT NULL DEFAULT 0;
-- Digest of the state that it was made from; empty where an earlier release saved it.
ALTER TABLE plan ADD COLUMN state_digest TEXT NOT NULL DEFAULT '';
UPDATE plan SET
    items = json_array_length(body, '$.items'),
    left_alone = json_array_length(body, '$.left_alone'),
    guards = json_array_length(body, '$.guards');

ALTER TABLE action ADD COLUMN system TEXT NOT NULL DEFAULT '';
ALTER TABLE action ADD COLUMN verb TEXT NOT NULL DEFAULT '';
-- Its first approval, and its last step.
ALTER TABLE action ADD COLUMN approved_at BIGINT;
ALTER TABLE action ADD COLUMN changed_at BIGINT NOT NULL DEFAULT 0;
UPDATE action SET
    system = item->>'system',
    verb = item->>'verb',
    approved_at = (SELECT MIN(at) FROM action_transition AS step
                   WHERE step.plan = action.plan AND step.action = action.id AND step.to_state = 'approved'),
    changed_at = COALESCE(
        (SELECT MAX(at) FROM action_transition AS step WHERE step.plan = action.plan AND step.action = action.id),
        (SELECT begun_at FROM apply_run WHERE apply_run.plan = action.plan), 0);
CREATE INDEX action_by_state ON action (state, changed_at);
CREATE INDEX action_by_change ON action (changed_at);
CREATE INDEX action_by_plan ON action (plan, state);

-- How much drift of a kind there was, at the last change of each hour. The kind `all` has a row even where there was none.
CREATE TABLE drift_sample (
    hour   BIGINT NOT NULL,
    kind   TEXT   NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (hour, kind)
);
