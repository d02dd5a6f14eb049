-- Where a people feed ended: the identity of its last row, and whether that row ended with a line break. A feed that was
-- cut ends earlier than it did.
ALTER TABLE epoch ADD COLUMN feed_last BIGINT;
ALTER TABLE epoch ADD COLUMN feed_line_break BIGINT;
