-- Accounts that were made here, so that those whose holder has no credential yet are found without looking at every action.
CREATE INDEX action_made_account ON action (read_back_at)
    WHERE state = 'verified' AND item LIKE '%"verb":"create_account"%';
