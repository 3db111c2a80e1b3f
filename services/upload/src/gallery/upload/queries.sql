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
UPDATE intents SET abandoned = true, abandoned_at = coalesce(abandoned_at, now()) WHERE blob_key = %(key)s

-- name: select_recorded
SELECT FROM originals WHERE blob_key = %(key)s

-- name: forget_intent
DELETE FROM intents WHERE blob_key = %(key)s AND abandoned_at <= now() - %(after)s::interval

-- name: abandon_intents
-- A lock that can be had is held by nobody: the owner is dead.
UPDATE intents SET abandoned = true, abandoned_at = coalesce(abandoned_at, now())
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

-- name: select_next
SELECT photo_id, library_id, blob_key, sha256, size_bytes AS size, media_type, uploaded_at, file, modified_at, said
FROM originals JOIN file_names USING (photo_id)
WHERE photo_id > %(after)s
ORDER BY photo_id LIMIT %(limit)s

-- name: note_fault
-- Tells whether it is news; of a photo that was deleted meanwhile there is none.
INSERT INTO faults (photo_id, kind)
SELECT photo_id, %(kind)s FROM originals WHERE photo_id = %(photo_id)s
ON CONFLICT (photo_id) DO UPDATE SET kind = EXCLUDED.kind, found_at = now() WHERE faults.kind <> EXCLUDED.kind
RETURNING photo_id

-- name: forget_fault
DELETE FROM faults WHERE photo_id = %(photo_id)s

-- name: select_faults
SELECT photo_id, blob_key, kind, found_at FROM faults JOIN originals USING (photo_id)
WHERE library_id = %(library_id)s
ORDER BY photo_id

-- name: count_faults
SELECT kind, count(*) AS number FROM faults GROUP BY kind

-- name: take_audit
-- A night's turn is over when its bytes are spent, or when a round ended in it.
UPDATE audit
SET leased_until = now() + %(lease)s, night = %(night)s, spent = CASE WHEN night = %(night)s THEN spent ELSE 0 END
WHERE leased_until <= now() AND %(budget)s > 0
  AND (night < %(night)s OR (spent < %(budget)s AND coalesce(ended_at < %(since)s, true)))
RETURNING after, spent

-- name: settle_audit
-- Whoever overran the lease changes nothing.
UPDATE audit
SET leased_until = '-infinity', after = %(after)s, spent = spent + %(size)s,
    objects = CASE WHEN %(ended)s THEN 0 ELSE objects + %(objects)s END,
    began_at = CASE WHEN %(ended)s THEN now() ELSE began_at END,
    ended_at = CASE WHEN %(ended)s THEN now() ELSE ended_at END
WHERE after = %(began)s AND leased_until > now()

-- name: release_audit
UPDATE audit SET leased_until = '-infinity' WHERE after = %(began)s

-- name: select_audit
SELECT objects, began_at, ended_at FROM audit

-- name: declare_unowned_intent
INSERT INTO intents (blob_key, library_id) VALUES (%(blob_key)s, %(library_id)s)

-- name: insert_transfer
INSERT INTO direct_uploads (id, library_id, file, lane, modified_at, said, staged, parts_id, size_bytes, sha256, piece_size,
    blob_key, expires_at)
VALUES (%(id)s, %(library_id)s, %(file)s, %(lane)s, %(modified_at)s, %(said)s, %(staged)s, %(parts_id)s, %(size)s,
    %(sha256)s, %(piece_size)s, %(blob_key)s, %(expires_at)s)

-- name: select_transfer
SELECT id, library_id, file, lane, modified_at, said, staged, parts_id, size_bytes, sha256, piece_size, blob_key, expires_at,
    outcome, photo_id, detail
FROM direct_uploads WHERE library_id = %(library_id)s AND id = %(id)s AND expires_at > now()

-- name: select_unfinished_transfer
SELECT id, library_id, file, lane, modified_at, said, staged, parts_id, size_bytes, sha256, piece_size, blob_key, expires_at,
    outcome, photo_id, detail
FROM direct_uploads
WHERE library_id = %(library_id)s AND sha256 = %(sha256)s AND size_bytes = %(size)s
    AND outcome IS NULL AND expires_at > now()
ORDER BY id DESC LIMIT 1

-- name: renew_transfer
UPDATE direct_uploads SET staged = %(staged)s, parts_id = %(parts_id)s, piece_size = %(piece_size)s
WHERE id = %(id)s AND outcome IS NULL

-- name: end_transfer
UPDATE direct_uploads SET outcome = %(outcome)s, photo_id = %(photo_id)s, detail = %(detail)s WHERE id = %(id)s

-- name: forget_transfer
-- If its blob is no original by now, it never will be one.
WITH gone AS (DELETE FROM direct_uploads WHERE id = %(id)s RETURNING blob_key)
UPDATE intents SET abandoned = true FROM gone WHERE intents.blob_key = gone.blob_key

-- name: select_expired_transfers
SELECT id, library_id, file, lane, modified_at, said, staged, parts_id, size_bytes, sha256, piece_size, blob_key, expires_at,
    outcome, photo_id, detail
FROM direct_uploads WHERE expires_at <= now() ORDER BY expires_at LIMIT %(limit)s

-- name: lock_transfer
SELECT pg_try_advisory_lock(hashtextextended('direct upload ' || %(id)s, 0)) AS alone

-- name: unlock_transfer
SELECT pg_advisory_unlock(hashtextextended('direct upload ' || %(id)s, 0))
