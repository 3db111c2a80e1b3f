-- Who may come in: for now the local owner, who has one library. Accounts and members come to these tables.

CREATE TABLE libraries (
    id         uuid PRIMARY KEY,
    name       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE owners (
    id           uuid PRIMARY KEY,
    library_id   uuid NOT NULL REFERENCES libraries,
    -- Never the token itself: who reads the database cannot come in by it.
    token_sha256 bytea NOT NULL CHECK (length(token_sha256) = 32),
    -- There is one local owner.
    only_one     boolean NOT NULL DEFAULT true UNIQUE CHECK (only_one)
);
