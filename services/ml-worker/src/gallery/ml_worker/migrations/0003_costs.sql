-- What the backfill of a library has cost so far; the next one begins anew.

CREATE TABLE backfill_costs (
    library_id     uuid PRIMARY KEY,
    since          timestamptz NOT NULL,
    last_at        timestamptz NOT NULL DEFAULT now(),
    photos         bigint NOT NULL,
    cpu_seconds    float8 NOT NULL,
    original_bytes bigint NOT NULL,
    derived_bytes  bigint NOT NULL
);
COMMENT ON COLUMN backfill_costs.cpu_seconds IS 'Of decoders and models, as measured where they ran.';
