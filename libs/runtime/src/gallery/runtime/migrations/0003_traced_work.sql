-- Work is done in the trace of what asked for it last.
ALTER TABLE work ADD COLUMN traceparent text NOT NULL DEFAULT '';
