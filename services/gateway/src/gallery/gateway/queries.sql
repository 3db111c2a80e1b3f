-- name: select_owner
SELECT id, library_id, token_sha256 FROM owners

-- name: insert_library
INSERT INTO libraries (id, name) VALUES (%(library_id)s, %(name)s)

-- name: insert_owner
INSERT INTO owners (id, library_id, token_sha256) VALUES (%(id)s, %(library_id)s, %(token_sha256)s)

-- name: update_token
UPDATE owners SET token_sha256 = %(token_sha256)s
