-- Facts that this service says: written with the state they tell of, read in the order of commits per key.

CREATE TABLE epochs (
    epoch int PRIMARY KEY,
    system_identifier bigint NOT NULL,
    began timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE epochs IS 'A restored database starts a new epoch, since its transaction ids start again.';
INSERT INTO epochs (epoch, system_identifier) SELECT 1, system_identifier FROM pg_control_system();

CREATE TABLE outbox (
    epoch int NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    seq bigint GENERATED ALWAYS AS IDENTITY,
    id uuid NOT NULL,
    topic text NOT NULL,
    type text NOT NULL,
    key text NOT NULL,
    library_id uuid NOT NULL,
    revision bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    traceparent text NOT NULL DEFAULT '',
    data bytea NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX outbox_order ON outbox (topic, epoch, xid, seq);

-- What a subscription has handled; lives as long as the facts it tells of.
CREATE TABLE inbox (
    subscription text NOT NULL,
    event_id uuid NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (subscription, event_id, at)
) PARTITION BY RANGE (at);

-- How far a subscription has read the facts of one topic (Postgres bus only; Kafka keeps its own offsets).
CREATE TABLE cursors (
    subscription text NOT NULL,
    topic text NOT NULL,
    epoch int NOT NULL,
    xid xid8 NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (subscription, topic)
);

-- Facts that could not be handled, with all that is needed to understand and to repeat them.
CREATE TABLE dead_letters (
    id uuid PRIMARY KEY,
    subscription text NOT NULL,
    event_id uuid NOT NULL,
    topic text NOT NULL,
    type text NOT NULL,
    key text NOT NULL,
    library_id uuid NOT NULL,
    revision bigint NOT NULL,
    event_at timestamptz NOT NULL,
    traceparent text NOT NULL,
    data bytea NOT NULL,
    state text NOT NULL CHECK (state IN ('dead', 'parked')),
    cause text NOT NULL,
    traceback text NOT NULL,
    replay_id uuid,
    replay_at timestamptz,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (subscription, event_id)
);
COMMENT ON COLUMN dead_letters.state IS
    'dead: given up alone; parked: its key waits, and what follows it joins it.';
COMMENT ON COLUMN dead_letters.replay_id IS
    'The id under which it will be handled again soon: a new one, since the inbox keeps ids no longer than their day.';
CREATE INDEX dead_letters_replaying ON dead_letters (subscription, seq) WHERE replay_id IS NOT NULL;
CREATE INDEX dead_letters_key ON dead_letters (subscription, key) WHERE state = 'parked';
