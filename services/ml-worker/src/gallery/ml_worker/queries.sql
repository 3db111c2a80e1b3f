-- name: take_in
-- Heard of again, it keeps what was found.
INSERT INTO photos (id, library_id, blob_key, sha256, size_bytes, media_type)
VALUES (%(id)s, %(library_id)s, %(blob_key)s, %(sha256)s, %(size)s, %(media_type)s)
ON CONFLICT (id) DO UPDATE SET blob_key = excluded.blob_key
RETURNING state

-- name: photo
SELECT id, library_id, blob_key, sha256, size_bytes AS size, media_type FROM photos WHERE id = %(id)s

-- name: lengthen_leases
UPDATE work SET leased_until = now() + %(lease)s
FROM unnest(%(ids)s::bigint[], %(fences)s::bigint[]) AS held (id, fence)
WHERE work.id = held.id AND work.fence = held.fence AND leased_until IS NOT NULL

-- name: declare_intent
INSERT INTO intents (blob_key, photo_id, fence) VALUES (%(blob_key)s, %(photo_id)s, %(fence)s)
ON CONFLICT (blob_key) DO NOTHING

-- name: fulfil_intents
DELETE FROM intents WHERE blob_key = ANY(%(keys)s) AND abandoned_at IS NULL RETURNING blob_key

-- name: forget_intents
DELETE FROM intents WHERE blob_key = ANY(%(keys)s)

-- name: forget_abandoned_intents
DELETE FROM intents WHERE blob_key = ANY(%(keys)s) AND abandoned_at <= now() - %(after)s::interval

-- name: abandon_intents
UPDATE intents SET abandoned_at = now() WHERE abandoned_at IS NULL AND NOT EXISTS (
    SELECT FROM work
    WHERE subject = intents.photo_id AND stage = %(stage)s AND work.fence = intents.fence AND leased_until > now())

-- name: abandoned_intents
SELECT blob_key FROM intents WHERE abandoned_at IS NOT NULL AND blob_key > %(after)s ORDER BY blob_key LIMIT %(limit)s

-- name: put_rendition
-- What it replaces becomes remains to be swept.
WITH replaced AS (
    SELECT blob_key, photo_id FROM renditions WHERE photo_id = %(photo_id)s AND kind = %(kind)s
), swept AS (
    INSERT INTO intents (blob_key, photo_id, fence, abandoned_at)
    SELECT blob_key, photo_id, 0, '-infinity' FROM replaced
)
INSERT INTO renditions (photo_id, kind, library_id, blob_key, size_bytes, sha256)
VALUES (%(photo_id)s, %(kind)s, %(library_id)s, %(blob_key)s, %(size)s, %(sha256)s)
ON CONFLICT (photo_id, kind) DO UPDATE SET
    blob_key = excluded.blob_key, size_bytes = excluded.size_bytes, sha256 = excluded.sha256

-- name: end_analysis
UPDATE photos SET
    revision = revision + 1, state = %(state)s, reason = %(reason)s, attempts = %(attempts)s,
    face_pack = %(face_pack)s, tag_pack = %(tag_pack)s, width = %(width)s, height = %(height)s
WHERE id = %(id)s
RETURNING revision

-- name: put_measures
UPDATE photos SET
    sharpness = %(sharpness)s, brightness = %(brightness)s, clipped_dark = %(clipped_dark)s,
    clipped_bright = %(clipped_bright)s, phash = %(phash)s, dhash = %(dhash)s, thumbhash = %(thumbhash)s
WHERE id = %(id)s

-- name: former_faces
SELECT id, box FROM faces WHERE photo_id = %(photo_id)s ORDER BY id

-- name: drop_faces
-- Faces that were not found again; those that people decided about stay.
DELETE FROM faces WHERE photo_id = %(photo_id)s AND NOT id = ANY(%(kept)s)
    AND NOT EXISTS (SELECT FROM decisions WHERE decisions.face_id = faces.id)

-- name: put_face
INSERT INTO faces (id, library_id, photo_id, pack, box, score, quality, landmarks, vector, ignored)
VALUES (%(id)s, %(library_id)s, %(photo_id)s, %(pack)s, %(box)s, %(score)s, %(quality)s, %(landmarks)s, %(vector)s,
        %(ignored)s)
ON CONFLICT (id) DO UPDATE SET
    pack = excluded.pack, box = excluded.box, score = excluded.score, quality = excluded.quality,
    landmarks = excluded.landmarks, vector = excluded.vector, ignored = excluded.ignored

-- name: drop_tags
DELETE FROM tags WHERE photo_id = %(photo_id)s

-- name: put_tag
INSERT INTO tags (photo_id, label, score, pack) VALUES (%(photo_id)s, %(label)s, %(score)s, %(pack)s)
ON CONFLICT DO NOTHING

-- name: put_image_vector
INSERT INTO image_vectors (photo_id, library_id, pack, vector)
VALUES (%(photo_id)s, %(library_id)s, %(pack)s, %(vector)s)
ON CONFLICT (photo_id) DO UPDATE SET pack = excluded.pack, vector = excluded.vector

-- name: ask_for_outdated
-- Photos that another pack, or none, has looked at, as work in the background.
INSERT INTO work (library_id, subject, stage, lane)
SELECT library_id, id, %(stage)s, 'backfill' FROM photos
WHERE state = 'done' AND (face_pack IS DISTINCT FROM %(face_pack)s::text OR tag_pack IS DISTINCT FROM %(tag_pack)s::text)
ON CONFLICT (subject, stage) DO NOTHING

-- name: described
SELECT id, width, height, state, reason, sharpness, brightness, clipped_dark, clipped_bright, phash, dhash, thumbhash
FROM photos WHERE library_id = %(library_id)s AND id = ANY(%(ids)s)

-- name: faces_of_photos
SELECT faces.id, photo_id, box, score, quality, ignored, width, height
FROM faces JOIN photos ON photos.id = faces.photo_id
WHERE faces.library_id = %(library_id)s AND photo_id = ANY(%(ids)s)
ORDER BY photo_id, box[1], box[2], faces.id

-- name: faces
SELECT faces.id, photo_id, box, score, quality, ignored, width, height
FROM faces JOIN photos ON photos.id = faces.photo_id
WHERE faces.library_id = %(library_id)s AND faces.id = ANY(%(ids)s)
ORDER BY faces.id

-- name: tags_of_photos
SELECT photo_id, label, score FROM tags JOIN photos ON photos.id = photo_id
WHERE library_id = %(library_id)s AND photo_id = ANY(%(ids)s)
ORDER BY photo_id, score DESC, label

-- name: rendition
SELECT photo_id, kind, blob_key, size_bytes AS size, sha256
FROM renditions WHERE library_id = %(library_id)s AND photo_id = %(photo_id)s AND kind = %(kind)s

-- name: renditions_after
SELECT photo_id, kind, blob_key, size_bytes AS size, sha256
FROM renditions WHERE library_id = %(library_id)s AND (photo_id, kind) > (%(photo_id)s, %(kind)s)
ORDER BY photo_id, kind LIMIT %(limit)s

-- name: unknown_keys
SELECT key FROM unnest(%(keys)s::text[]) AS key
WHERE NOT EXISTS (SELECT FROM renditions WHERE blob_key = key) AND NOT EXISTS (SELECT FROM intents WHERE blob_key = key)

-- name: ended_after
SELECT id, revision, state, reason, attempts, face_pack, tag_pack, width, height,
       (SELECT count(*) FROM faces WHERE photo_id = photos.id)::int AS faces
FROM photos WHERE library_id = %(library_id)s AND state <> 'pending' AND id > %(after)s
ORDER BY id LIMIT %(limit)s

-- name: ask_for_forgotten
-- Pending photos that no work is left for.
INSERT INTO work (library_id, subject, stage, lane)
SELECT library_id, id, %(stage)s, 'backfill' FROM photos WHERE library_id = %(library_id)s AND state = 'pending'
ON CONFLICT (subject, stage) DO NOTHING

-- name: queue_of_library
SELECT stage, lane, count(*)::int AS pending, extract(epoch FROM now() - min(created))::float AS oldest_seconds
FROM work WHERE library_id = %(library_id)s GROUP BY stage, lane ORDER BY stage, lane

-- name: begin_anew
DELETE FROM backfill_costs WHERE library_id = %(library_id)s AND last_at + %(over_after)s < %(asked_at)s

-- name: spend
INSERT INTO backfill_costs AS cost (library_id, since, photos, cpu_seconds, original_bytes, derived_bytes)
VALUES (%(library_id)s, %(asked_at)s, 1, %(cpu_seconds)s, %(original_bytes)s, %(derived_bytes)s)
ON CONFLICT (library_id) DO UPDATE SET
    since = least(cost.since, excluded.since),
    last_at = now(),
    photos = cost.photos + 1,
    cpu_seconds = cost.cpu_seconds + excluded.cpu_seconds,
    original_bytes = cost.original_bytes + excluded.original_bytes,
    derived_bytes = cost.derived_bytes + excluded.derived_bytes

-- name: cost
SELECT since, photos, cpu_seconds, original_bytes, derived_bytes FROM backfill_costs WHERE library_id = %(library_id)s
