-- Photos whose document is older than what the catalogue said last; one row however often they changed.
CREATE TABLE pending (
    library_id uuid NOT NULL,
    photo_id uuid NOT NULL,
    revision bigint NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    -- When it may be taken; for one that is taken, when that is taken back.
    not_before timestamptz NOT NULL DEFAULT now(),
    -- Number of the taking that works on it.
    claim bigint,
    PRIMARY KEY (library_id, photo_id)
);
CREATE INDEX pending_due ON pending (not_before);

-- Takings are numbered upwards, and a document's revision is the number of its taking: what was fetched later wins.
CREATE SEQUENCE claims;

-- What the index holds, as a live row to join with: a hit counts only when it has one.
CREATE TABLE documents (
    library_id uuid NOT NULL,
    photo_id uuid NOT NULL,
    revision bigint NOT NULL,
    catalogue_revision bigint NOT NULL,
    taken_at timestamp NOT NULL,
    terms text[] NOT NULL,
    tag_scores jsonb NOT NULL,
    labels text[] NOT NULL,
    person_ids uuid[] NOT NULL,
    PRIMARY KEY (library_id, photo_id)
);

-- Names, joined when a question is asked: another name costs one row.
CREATE TABLE people (
    library_id uuid NOT NULL,
    person_id uuid NOT NULL,
    revision bigint NOT NULL,
    name text,
    -- The folded words of the name and, where there are several, all of them joined.
    terms text[] NOT NULL,
    PRIMARY KEY (library_id, person_id)
);
