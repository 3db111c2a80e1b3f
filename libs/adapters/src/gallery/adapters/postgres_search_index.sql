-- The whole schema of the index. It is a cache: dropped, it is made again and filled by a rebuild.

CREATE TABLE IF NOT EXISTS documents (
    library_id uuid NOT NULL,
    photo_id uuid NOT NULL,
    revision bigint NOT NULL,
    taken_at timestamp NOT NULL,
    uploaded_at timestamptz NOT NULL,
    terms text[] NOT NULL,
    tag_scores jsonb NOT NULL,
    person_ids uuid[] NOT NULL,
    faces integer NOT NULL,
    unresolved_faces integer NOT NULL,
    latitude double precision,
    longitude double precision,
    PRIMARY KEY (library_id, photo_id)
);
-- A forgotten photo leaves its row behind, empty, so that an older document does not bring it back.
ALTER TABLE documents ADD COLUMN IF NOT EXISTS live boolean NOT NULL DEFAULT true;
CREATE INDEX IF NOT EXISTS documents_timeline ON documents (library_id, taken_at DESC, photo_id DESC);
-- fastupdate keeps new rows in an unsorted list that every search walks; writes come in batches, so we do without.
CREATE INDEX IF NOT EXISTS documents_terms ON documents USING gin (terms) WITH (fastupdate = off);
CREATE INDEX IF NOT EXISTS documents_people ON documents USING gin (person_ids) WITH (fastupdate = off);
CREATE INDEX IF NOT EXISTS documents_faces ON documents (library_id, faces);
CREATE INDEX IF NOT EXISTS documents_uploads ON documents (library_id, uploaded_at);
CREATE INDEX IF NOT EXISTS documents_position ON documents (library_id, latitude, longitude)
    WHERE latitude IS NOT NULL;

-- Words for typo candidates. Never shrinks; what is chosen from it is checked against the documents.
CREATE TABLE IF NOT EXISTS dictionary (
    library_id uuid NOT NULL,
    length integer NOT NULL,
    term text NOT NULL,
    PRIMARY KEY (library_id, length, term)
);
