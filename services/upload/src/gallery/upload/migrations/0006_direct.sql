-- Uploads that clients send to the store of blobs themselves.

-- A blob that a direct upload is to become is declared as long as the upload lives, which no process owns.
ALTER TABLE intents ALTER COLUMN owner DROP NOT NULL;

CREATE TABLE direct_uploads (
    id          uuid PRIMARY KEY,
    library_id  uuid NOT NULL,
    -- What the client claims. Personal data, gone with the row.
    file        text NOT NULL CHECK (octet_length(file) BETWEEN 1 AND 1024),
    lane        text NOT NULL,
    modified_at timestamptz,
    said        jsonb,
    -- What the store knows it by, and the blob that it is to become.
    staged      text NOT NULL,
    parts_id    text,
    size_bytes  bigint NOT NULL CHECK (size_bytes > 0),
    sha256      bytea NOT NULL CHECK (length(sha256) = 32),
    piece_size  bigint NOT NULL CHECK (piece_size > 0),
    blob_key    text NOT NULL UNIQUE,
    expires_at  timestamptz NOT NULL,
    -- How it ended, for whom the answer did not reach; null as long as it has not.
    outcome     text CHECK (outcome IN ('accepted', 'already_stored', 'checksum_mismatch', 'unsupported_type')),
    photo_id    uuid,
    detail      text
);

CREATE INDEX direct_uploads_by_content ON direct_uploads (library_id, sha256);
CREATE INDEX direct_uploads_by_end ON direct_uploads (expires_at);
