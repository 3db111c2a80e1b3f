-- How much of the work a library gets. A library without a row has weight 1 and is not paused.

CREATE TABLE shares (
    library_id uuid PRIMARY KEY,
    weight smallint NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 10),
    paused boolean NOT NULL DEFAULT false
);
COMMENT ON COLUMN shares.weight IS 'Turns per round.';
COMMENT ON COLUMN shares.paused IS 'Work of the backfill lane waits.';

-- What was finished in the last minutes, to tell how long the rest will take. Lost in a crash, and nobody minds.
CREATE UNLOGGED TABLE ended_work (
    library_id uuid NOT NULL,
    stage text NOT NULL,
    lane text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
