-- Originals and how they come to be.

CREATE TABLE originals (
    photo_id    uuid PRIMARY KEY,
    library_id  uuid NOT NULL,
    blob_key    text NOT NULL UNIQUE,
    sha256      bytea NOT NULL CHECK (length(sha256) = 32),
    size_bytes  bigint NOT NULL CHECK (size_bytes > 0),
    media_type  text NOT NULL,
    uploaded_at timestamptz NOT NULL,
    -- The same bytes are one photo of a library; across libraries nothing is shared, it would tell who has what.
    UNIQUE (library_id, sha256)
);

CREATE INDEX originals_by_library ON originals (library_id, photo_id);

-- Personal data, apart from what is public about a blob: names of files are never on the bus.
CREATE TABLE file_names (
    photo_id    uuid PRIMARY KEY REFERENCES originals ON DELETE CASCADE,
    file        text NOT NULL CHECK (octet_length(file) BETWEEN 1 AND 1024),
    modified_at timestamptz
);

-- A blob about to be written, and by whom. The writer holds an advisory lock on its number as long as it lives.
CREATE TABLE intents (
    blob_key   text PRIMARY KEY,
    library_id uuid NOT NULL,
    owner      integer NOT NULL,
    abandoned  boolean NOT NULL DEFAULT false,
    made_at    timestamptz NOT NULL DEFAULT now()
);
