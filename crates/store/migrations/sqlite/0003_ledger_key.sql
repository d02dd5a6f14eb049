-- The public key that signs the log, kept from the first publication on: a log signed anew with another key is found.
CREATE TABLE ledger_key (
    only_row   INTEGER PRIMARY KEY CHECK (only_row = 1),
    public_key TEXT    NOT NULL
);
