-- Who the machine believes the faces to be, why, and what people said about it.

CREATE TABLE people_libraries (
    library_id uuid PRIMARY KEY,
    decisions_revision bigint NOT NULL DEFAULT 0,
    changed bigint NOT NULL DEFAULT 0,
    grouped bigint NOT NULL DEFAULT 0
);
COMMENT ON COLUMN people_libraries.changed IS 'Grows with every new face and every decision.';
COMMENT ON COLUMN people_libraries.grouped IS 'What changed was when the last canonical grouping began; behind it, one is due.';
CREATE INDEX people_libraries_due ON people_libraries (library_id) WHERE changed > grouped;

-- Decisions of people, as far as they bind the grouping.
CREATE TABLE decisions (
    face_id uuid PRIMARY KEY,
    library_id uuid NOT NULL,
    person_id uuid,
    revision bigint NOT NULL
);
COMMENT ON COLUMN decisions.person_id IS 'NULL: nobody of this gallery.';
CREATE INDEX decisions_library ON decisions (library_id);

CREATE TABLE proposals (
    face_id uuid PRIMARY KEY REFERENCES faces ON DELETE CASCADE,
    library_id uuid NOT NULL,
    photo_id uuid NOT NULL,
    pack text NOT NULL,
    person_id uuid,
    state text NOT NULL CHECK (state IN ('assigned', 'suggested', 'unassigned', 'ignored')),
    rule text NOT NULL,
    threshold real NOT NULL,
    similarity real,
    margin real,
    runner_up uuid,
    examples jsonb NOT NULL
);
COMMENT ON COLUMN proposals.pack IS 'Of the vector that it was made from; the face may have another by now.';
COMMENT ON COLUMN proposals.examples IS 'Nearest faces of the person: [[face id, cosine], ...].';
CREATE INDEX proposals_photo ON proposals (photo_id);
CREATE INDEX proposals_library ON proposals (library_id);

-- How often a proposal was made for each photo.
CREATE TABLE proposed_photos (
    photo_id uuid PRIMARY KEY,
    revision bigint NOT NULL
);
