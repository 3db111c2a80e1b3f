-- Work that is to be done, claimed in batches under a lease. Empty in services that have none.

CREATE TABLE work (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    library_id uuid NOT NULL,
    subject uuid NOT NULL,
    stage text NOT NULL,
    lane text NOT NULL CHECK (lane IN ('interactive', 'backfill')),
    asked int NOT NULL DEFAULT 1,
    attempt int NOT NULL DEFAULT 0,
    fence bigint NOT NULL DEFAULT 0,
    not_before timestamptz NOT NULL DEFAULT now(),
    leased_until timestamptz,
    created timestamptz NOT NULL DEFAULT now(),
    UNIQUE (subject, stage)
);
COMMENT ON COLUMN work.asked IS 'Grows when the same work is asked for again; finishing an older ask leaves the row.';
CREATE INDEX work_next ON work (stage, lane, library_id, id);
CREATE SEQUENCE fences;
