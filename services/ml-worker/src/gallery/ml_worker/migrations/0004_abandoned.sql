-- Who sweeps a blob says so first, so that whoever still writes it cannot refer to it any more.
ALTER TABLE intents ADD COLUMN abandoned_at timestamptz;
COMMENT ON COLUMN intents.abandoned_at IS 'When nobody held the lease any more. The row stays a while, since a late write may still come true.';
