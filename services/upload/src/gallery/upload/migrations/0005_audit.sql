-- The audit: every original is read back and compared with its checksum, some of them each night.

-- How far it is; one row for all processes.
CREATE TABLE audit (
    one          boolean PRIMARY KEY DEFAULT true CHECK (one),
    after        uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000', -- the last original that was read
    leased_until timestamptz NOT NULL DEFAULT '-infinity', -- whoever reads now has so long
    night        date NOT NULL DEFAULT '-infinity',
    spent        bigint NOT NULL DEFAULT 0, -- bytes read in that night
    objects      bigint NOT NULL DEFAULT 0, -- read in this round
    began_at     timestamptz NOT NULL DEFAULT now(), -- this round
    ended_at     timestamptz -- the round before; every original has been read since that one began
);

INSERT INTO audit DEFAULT VALUES;

-- What was found wrong when it was last read; gone when it is well again, or deleted.
CREATE TABLE faults (
    photo_id uuid PRIMARY KEY REFERENCES originals ON DELETE CASCADE,
    kind     text NOT NULL CHECK (kind IN ('missing', 'damaged')),
    found_at timestamptz NOT NULL DEFAULT now()
);
