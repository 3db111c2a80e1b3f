-- What was found by looking at photos. Everything here can be made again from the originals.

CREATE TABLE photos (
    id uuid PRIMARY KEY,
    library_id uuid NOT NULL,
    blob_key text NOT NULL,
    sha256 bytea NOT NULL,
    size_bytes bigint NOT NULL,
    media_type text NOT NULL,
    revision bigint NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'failed', 'rejected')),
    reason text NOT NULL DEFAULT '',
    attempts int NOT NULL DEFAULT 0,
    face_pack text,
    tag_pack text,
    width int NOT NULL DEFAULT 0,
    height int NOT NULL DEFAULT 0,
    sharpness real,
    brightness real,
    clipped_dark real,
    clipped_bright real,
    phash bytea,
    dhash bytea,
    thumbhash text
);
COMMENT ON COLUMN photos.revision IS 'How often an analysis has ended: the revision of PhotoAnalysed.';
COMMENT ON COLUMN photos.width IS 'Pixels of the upright original; 0 until it was decoded. So is height.';
COMMENT ON COLUMN photos.sharpness IS 'Variance of the Laplacian of the luma at 1440 px, 8 bit.';
COMMENT ON COLUMN photos.phash IS '8 bytes; so is dhash.';
CREATE INDEX photos_library ON photos (library_id, id);

-- Derived pictures. A blob is named by an intent before it is written, and by a rendition from then on.
CREATE TABLE renditions (
    photo_id uuid NOT NULL REFERENCES photos ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('preview', 'thumbnail')),
    library_id uuid NOT NULL,
    blob_key text NOT NULL UNIQUE,
    size_bytes bigint NOT NULL,
    sha256 bytea NOT NULL,
    PRIMARY KEY (photo_id, kind)
);
CREATE INDEX renditions_library ON renditions (library_id, photo_id);

CREATE TABLE intents (
    blob_key text PRIMARY KEY,
    photo_id uuid NOT NULL,
    fence bigint NOT NULL
);
COMMENT ON TABLE intents IS 'Blobs that are being written under a lease of this fence; without that lease, remains to be swept.';

CREATE TABLE faces (
    id uuid PRIMARY KEY,
    library_id uuid NOT NULL,
    photo_id uuid NOT NULL REFERENCES photos ON DELETE CASCADE,
    pack text NOT NULL,
    box real[] NOT NULL,
    score real NOT NULL,
    quality real NOT NULL,
    landmarks real[] NOT NULL,
    vector bytea NOT NULL,
    ignored text
);
COMMENT ON COLUMN faces.box IS 'Left, top, width, height as shares of the upright picture.';
COMMENT ON COLUMN faces.landmarks IS 'x, y, x, y, ... as shares of the upright picture.';
COMMENT ON COLUMN faces.vector IS 'Little-endian float32, length 1.';
COMMENT ON COLUMN faces.ignored IS 'Why it takes no part in grouping; NULL when it does.';
CREATE INDEX faces_photo ON faces (photo_id);
CREATE INDEX faces_library ON faces (library_id, pack, photo_id);

CREATE TABLE image_vectors (
    photo_id uuid PRIMARY KEY REFERENCES photos ON DELETE CASCADE,
    library_id uuid NOT NULL,
    pack text NOT NULL,
    vector bytea NOT NULL
);

CREATE TABLE tags (
    photo_id uuid NOT NULL REFERENCES photos ON DELETE CASCADE,
    label text NOT NULL,
    score real NOT NULL,
    pack text NOT NULL,
    PRIMARY KEY (photo_id, label)
);
