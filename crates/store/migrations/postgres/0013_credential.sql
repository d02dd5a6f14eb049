-- Credentials are objects with a name and a state, as accounts are.
ALTER TABLE object DROP CONSTRAINT object_class_check;
ALTER TABLE object ADD CONSTRAINT object_class_check
    CHECK (class IN ('account', 'credential', 'entitlement', 'identity'));
