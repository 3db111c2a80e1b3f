ALTER TABLE intents ADD COLUMN abandoned_at timestamptz;
COMMENT ON COLUMN intents.abandoned_at IS 'The row stays a while after that, since a late write may still come true.';
