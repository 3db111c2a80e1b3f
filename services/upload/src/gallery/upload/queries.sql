-- name: insert_original
-- A racing upload of the same bytes waits here for the first one's commit.
INSERT INTO originals (photo_id, library_id, blob_key, sha256, size_bytes, media_type, uploaded_at)
VALUES (%(photo_id)s, %(library_id)s, %(blob_key)s, %(sha256)s, %(size)s, %(media_type)s, %(uploaded_at)s)
ON CONFLICT (library_id, sha256) DO NOTHING
RETURNING photo_id

-- name: insert_file_name
INSERT INTO file_names (photo_id, file, modified_at, said)
VALUES (%(photo_id)s, %(file)s, %(modified_at)s, %(said)s)

-- name: select_known
SELECT sha256, photo_id FROM originals WHERE library_id = %(library_id)s AND sha256 = ANY(%(digests)s)

-- name: select_originals
SELECT photo_id, library_id, blob_key, sha256, size_bytes AS size, media_type, uploaded_at, file, modified_at, said
FROM originals JOIN file_names USING (photo_id)
WHERE library_id = %(library_id)s AND photo_id = ANY(%(photo_ids)s)

-- name: select_page
SELECT photo_id, library_id, blob_key, sha256, size_bytes AS size, media_type, uploaded_at, file, modified_at, said
FROM originals JOIN file_names USING (photo_id)
WHERE library_id = %(library_id)s AND photo_id > %(after)s
ORDER BY photo_id LIMIT %(limit)s

-- name: select_unknown_keys
SELECT key FROM unnest(%(keys)s::text[]) AS key
WHERE NOT EXISTS (SELECT FROM originals WHERE blob_key = key) AND NOT EXISTS (SELECT FROM intents WHERE blob_key = key)

-- name: declare_intent
INSERT INTO intents (blob_key, library_id, owner) VALUES (%(key)s, %(library_id)s, %(owner)s)

-- name: fulfil_intent
DELETE FROM intents WHERE blob_key = %(key)s AND NOT abandoned RETURNING blob_key

-- name: abandon_intent
-- Waits for a transaction that is recording the blob, be it that nobody listens to it any more.
UPDATE intents SET abandoned = true WHERE blob_key = %(key)s

-- name: select_recorded
SELECT FROM originals WHERE blob_key = %(key)s

-- name: forget_intent
DELETE FROM intents WHERE blob_key = %(key)s

-- name: abandon_intents
-- A lock that can be had is held by nobody: the owner is dead.
UPDATE intents SET abandoned = true
WHERE abandoned
   OR (owner = %(owner)s AND NOT blob_key = ANY(%(running)s))
   OR (owner <> %(owner)s AND pg_try_advisory_xact_lock(%(family)s, owner))
RETURNING blob_key

-- name: hold_owner
SELECT pg_advisory_lock(%(family)s, %(owner)s)

-- name: select_passed_quota
-- No row as long as so much more fits.
SELECT photos, bytes, most_photos, most_bytes FROM libraries
WHERE library_id = %(library_id)s AND (photos + %(photos)s > most_photos OR bytes + %(bytes)s > most_bytes)

-- name: select_quota
SELECT photos, bytes, most_photos, most_bytes FROM libraries WHERE library_id = %(library_id)s

-- name: change_quota
-- Of the two limits, those that are named.
INSERT INTO libraries (library_id, most_photos, most_bytes) VALUES (%(library_id)s, %(photos)s, %(bytes)s)
ON CONFLICT (library_id) DO UPDATE SET
    most_photos = CASE WHEN 'photos' = ANY(%(named)s) THEN excluded.most_photos ELSE libraries.most_photos END,
    most_bytes = CASE WHEN 'bytes' = ANY(%(named)s) THEN excluded.most_bytes ELSE libraries.most_bytes END
RETURNING photos, bytes, most_photos, most_bytes
