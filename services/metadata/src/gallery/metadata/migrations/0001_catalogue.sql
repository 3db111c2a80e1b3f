-- The catalogue: what is known of each photo, how far its stages are, who is in it.

-- One row per library: revisions and counts. Every transaction that changes counts locks this row last of all.
CREATE TABLE libraries (
    library_id uuid PRIMARY KEY,
    decisions_revision bigint NOT NULL DEFAULT 0,
    photos bigint NOT NULL DEFAULT 0,
    unassigned_faces bigint NOT NULL DEFAULT 0,
    reconciled_at timestamptz,
    findings bigint NOT NULL DEFAULT 0
);
COMMENT ON COLUMN libraries.decisions_revision IS 'Count of human decisions; machine proposals say which of them they knew.';
COMMENT ON COLUMN libraries.findings IS 'What the last reconciliation found wrong.';

-- A photo may be analysed before word of its upload comes: then the row is there without file until it does.
CREATE TABLE photos (
    id uuid PRIMARY KEY,
    library_id uuid NOT NULL,
    revision bigint NOT NULL DEFAULT 0,
    indexed_revision bigint NOT NULL DEFAULT 0,
    proposal_revision bigint NOT NULL DEFAULT 0,
    file text,
    blob_key text,
    sha256 bytea,
    size bigint,
    media_type text,
    uploaded_at timestamptz,
    width int NOT NULL DEFAULT 0,
    height int NOT NULL DEFAULT 0,
    taken_at timestamp,
    offset_minutes smallint,
    taken_from text,
    offset_from text,
    camera text,
    lens text,
    exposure jsonb NOT NULL DEFAULT '{}',
    orientation smallint NOT NULL DEFAULT 1,
    latitude float8,
    longitude float8,
    altitude float8,
    direction float8,
    city text,
    region text,
    country text,
    country_code text
);
COMMENT ON COLUMN photos.taken_at IS 'Local time of the place: the order of the timeline. UTC is taken_at less the offset, where there is one.';
CREATE INDEX photos_timeline ON photos (library_id, taken_at DESC, id DESC) WHERE taken_at IS NOT NULL;

CREATE TABLE ledger (
    photo_id uuid NOT NULL REFERENCES photos ON DELETE CASCADE,
    stage text NOT NULL,
    library_id uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'done', 'failed', 'rejected')),
    reason text NOT NULL DEFAULT '',
    pack text NOT NULL DEFAULT '',
    attempts int NOT NULL DEFAULT 0,
    source_revision bigint NOT NULL DEFAULT 0,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (photo_id, stage)
);
COMMENT ON COLUMN ledger.source_revision IS 'Revision of the fact that said so; an older one changes nothing.';
CREATE INDEX ledger_pending ON ledger (library_id, at) WHERE state = 'pending';
CREATE INDEX ledger_rejected ON ledger (library_id, photo_id) WHERE state = 'rejected';

-- The same as counting the ledger, kept so that the status of a million photos costs 28 rows.
CREATE TABLE ledger_counts (
    library_id uuid NOT NULL,
    stage text NOT NULL,
    state text NOT NULL,
    photos bigint NOT NULL,
    PRIMARY KEY (library_id, stage, state)
);

CREATE TABLE people (
    id uuid PRIMARY KEY,
    library_id uuid NOT NULL,
    revision bigint NOT NULL DEFAULT 0,
    name text,
    name_key text,
    decided_revision bigint NOT NULL DEFAULT 0,
    faces bigint NOT NULL DEFAULT 0,
    photos bigint NOT NULL DEFAULT 0
);
COMMENT ON COLUMN people.name_key IS 'The name as it is compared: one name, one person.';
COMMENT ON COLUMN people.decided_revision IS 'The decision that named them; proposals that did not know it move none of their faces.';
CREATE UNIQUE INDEX people_names ON people (library_id, name_key);
CREATE INDEX people_faces ON people (library_id, faces DESC, id);

CREATE TABLE faces (
    id uuid PRIMARY KEY,
    library_id uuid NOT NULL,
    photo_id uuid NOT NULL REFERENCES photos ON DELETE CASCADE,
    person_id uuid REFERENCES people,
    state text NOT NULL CHECK (state IN ('assigned', 'suggested', 'unassigned', 'ignored'))
);
COMMENT ON TABLE faces IS 'The one resolved answer: a decision if there is one, else the newest proposal.';
CREATE INDEX faces_photo ON faces (photo_id);
CREATE INDEX faces_person ON faces (person_id, id) WHERE person_id IS NOT NULL;
CREATE INDEX faces_library ON faces (library_id, id);

-- What people decided about faces. Anchored to the photo and the box, since face ids belong to one detector's run.
CREATE TABLE decisions (
    id uuid PRIMARY KEY,
    library_id uuid NOT NULL,
    photo_id uuid NOT NULL REFERENCES photos ON DELETE CASCADE,
    box real[] NOT NULL CHECK (cardinality(box) = 4),
    face_id uuid NOT NULL,
    person_id uuid REFERENCES people,
    revision bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN decisions.box IS 'x, y, width, height as fractions of the upright photo.';
COMMENT ON COLUMN decisions.face_id IS 'The face that has this box now; a new detection hands it on by overlap.';
COMMENT ON COLUMN decisions.person_id IS 'NULL: nobody of this gallery.';
CREATE UNIQUE INDEX decisions_face ON decisions (face_id);
CREATE INDEX decisions_photo ON decisions (photo_id);
