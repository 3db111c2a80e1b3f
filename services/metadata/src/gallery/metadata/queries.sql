-- name: ensure_library
INSERT INTO libraries (library_id) VALUES (%(library_id)s) ON CONFLICT DO NOTHING

-- name: ensure_photo
-- One row back when the photo is new here.
INSERT INTO photos (id, library_id) VALUES (%(id)s, %(library_id)s) ON CONFLICT DO NOTHING RETURNING id

-- name: open_ledger
INSERT INTO ledger (photo_id, library_id, stage, state)
SELECT %(id)s, %(library_id)s, stage, 'pending' FROM unnest(%(stages)s::text[]) AS stage

-- name: described_already
SELECT EXISTS (
    SELECT FROM photos JOIN ledger ON photo_id = id AND stage = 'described' AND state = 'done'
    WHERE id = %(id)s AND blob_key = %(blob_key)s) AS described

-- name: describe_photo
UPDATE photos SET
    file = %(file)s, blob_key = %(blob_key)s, sha256 = %(sha256)s, size = %(size)s, media_type = %(media_type)s,
    uploaded_at = %(uploaded_at)s, taken_at = %(taken_at)s, offset_minutes = %(offset_minutes)s,
    taken_from = %(taken_from)s, offset_from = %(offset_from)s, camera = %(camera)s, lens = %(lens)s,
    exposure = %(exposure)s, orientation = %(orientation)s, latitude = %(latitude)s, longitude = %(longitude)s,
    altitude = %(altitude)s, direction = %(direction)s, city = %(city)s, region = %(region)s, country = %(country)s,
    country_code = %(country_code)s, gps_from = %(gps_from)s, said = %(said)s
WHERE id = %(id)s

-- name: set_size
-- One row back when the size is another than before.
UPDATE photos SET width = %(width)s, height = %(height)s
WHERE id = %(id)s AND (width, height) IS DISTINCT FROM (%(width)s, %(height)s)
RETURNING id

-- name: raise_revision
-- Being indexed follows the revisions: `was` is what the ledger said of it, if that is another now.
WITH photo AS (
    UPDATE photos SET revision = revision + 1 WHERE id = %(id)s
    RETURNING id, revision, uploaded_at IS NOT NULL AS described, indexed_revision >= revision AS indexed
), turned AS (
    UPDATE ledger SET state = CASE WHEN indexed THEN 'done' ELSE 'pending' END, attempts = 1, at = now()
    FROM photo
    WHERE photo_id = photo.id AND stage = 'indexed' AND state <> CASE WHEN indexed THEN 'done' ELSE 'pending' END
    RETURNING old.state AS was
)
SELECT revision, described, indexed, was FROM photo LEFT JOIN turned ON true

-- name: note_indexed
-- `was` as above. `seconds` since the upload, when with this all that was to be seen in it can be found for the first time.
WITH photo AS (
    UPDATE photos SET
        indexed_revision = greatest(indexed_revision, %(indexed)s),
        searchable_at = CASE
            WHEN searchable_at IS NULL AND greatest(indexed_revision, %(indexed)s) >= revision AND NOT EXISTS (
                SELECT FROM ledger WHERE photo_id = id AND state = 'pending' AND stage NOT IN ('indexed', 'text')
            ) THEN now() ELSE searchable_at END
    WHERE id = %(id)s
    RETURNING id, indexed_revision >= revision AS current,
        CASE WHEN old.searchable_at IS NULL THEN extract(epoch FROM new.searchable_at - uploaded_at)::float END AS seconds
), turned AS (
    UPDATE ledger SET state = 'done', attempts = 1, at = now()
    FROM photo
    WHERE photo_id = photo.id AND current AND stage = 'indexed' AND state <> 'done'
    RETURNING old.state AS was
)
SELECT was, seconds FROM photo LEFT JOIN turned ON true

-- name: stages
SELECT stage, state, reason, pack, attempts, source_revision FROM ledger WHERE photo_id = %(id)s

-- name: end_stages
UPDATE ledger SET state = ended.state, reason = ended.reason, pack = ended.pack, attempts = ended.attempts,
    source_revision = %(source_revision)s, at = now()
FROM unnest(%(stages)s::text[], %(states)s::text[], %(reasons)s::text[], %(packs)s::text[], %(attempts)s::int[])
    AS ended (stage, state, reason, pack, attempts)
WHERE photo_id = %(photo_id)s AND ledger.stage = ended.stage

-- name: add_counts
-- The row of the library is the last lock of every transaction that changes counts: whoever waits for it holds nothing
-- that its owner needs. The counts of stages are made when first needed, and written under that lock.
WITH library AS (
    UPDATE libraries SET photos = photos + %(photos)s, unassigned_faces = unassigned_faces + %(unassigned_faces)s
    WHERE library_id = %(library_id)s
    RETURNING library_id
)
INSERT INTO ledger_counts (library_id, stage, state, photos)
SELECT library_id, stage, state, change.photos
FROM library CROSS JOIN unnest(%(stages)s::text[], %(states)s::text[], %(changes)s::bigint[])
    AS change (stage, state, photos)
ON CONFLICT (library_id, stage, state) DO UPDATE SET photos = ledger_counts.photos + excluded.photos

-- name: note_proposal
-- No row back when a newer opinion has been heard.
UPDATE photos SET proposal_revision = %(revision)s WHERE id = %(id)s AND proposal_revision <= %(revision)s
RETURNING id

-- name: faces_of_photo
-- With what decides over proposals: a decision on the face, and the naming of the person it has now.
SELECT faces.id, faces.person_id, faces.state, decisions.id IS NOT NULL AS decided,
       decisions.person_id AS decided_person, coalesce(people.decided_revision, 0) AS held_revision
FROM faces
LEFT JOIN decisions ON decisions.face_id = faces.id
LEFT JOIN people ON people.id = faces.person_id
WHERE faces.photo_id = %(id)s

-- name: decisions_of_photo
SELECT face_id, person_id FROM decisions WHERE photo_id = %(id)s

-- name: ensure_people
-- In the order of ids, as every lock on people.
INSERT INTO people (id, library_id)
SELECT id, %(library_id)s FROM unnest(%(ids)s::uuid[]) AS id ORDER BY id
ON CONFLICT DO NOTHING

-- name: lock_people
SELECT id, decided_revision FROM people WHERE id = ANY(%(ids)s) ORDER BY id FOR UPDATE

-- name: put_face
INSERT INTO faces (id, library_id, photo_id, person_id, state)
VALUES (%(id)s, %(library_id)s, %(photo_id)s, %(person_id)s, %(state)s)
ON CONFLICT (id) DO UPDATE SET person_id = excluded.person_id, state = excluded.state

-- name: drop_faces
DELETE FROM faces WHERE id = ANY(%(ids)s)

-- name: count_person
UPDATE people SET faces = faces + %(faces)s, photos = photos + %(photos)s WHERE id = %(id)s

-- name: drop_empty_people
-- A group that lost its last face is gone; somebody with a name stays, and so does whom a decision or a suggestion means.
DELETE FROM people
WHERE id = ANY(%(ids)s) AND faces = 0 AND name IS NULL
  AND NOT EXISTS (SELECT FROM faces WHERE faces.person_id = people.id)
  AND NOT EXISTS (SELECT FROM decisions WHERE decisions.person_id = people.id)

-- name: photos_by_id
-- Newest first. By name: a prepared statement that gives every column fails once a migration has added one.
SELECT id, revision, file, sha256, size, media_type, uploaded_at, width, height, taken_at, offset_minutes, taken_from,
       offset_from, camera, lens, exposure, orientation, latitude, longitude, altitude, direction, gps_from,
       city, region, country, country_code, said
FROM photos WHERE library_id = %(library_id)s AND id = ANY(%(ids)s) AND uploaded_at IS NOT NULL
ORDER BY taken_at DESC, id DESC

-- name: timeline
-- Newest first, below the last row of the page before.
SELECT id FROM photos
WHERE library_id = %(library_id)s AND taken_at IS NOT NULL
  AND (taken_at, id) < (%(taken_at)s::timestamp, %(id)s::uuid)
ORDER BY taken_at DESC, id DESC
LIMIT %(limit)s

-- name: faces_by_photo
SELECT id, photo_id, person_id, state FROM faces WHERE photo_id = ANY(%(ids)s) ORDER BY photo_id, id

-- name: stages_by_photo
SELECT photo_id, stage, state, reason, pack, attempts, at FROM ledger WHERE photo_id = ANY(%(ids)s)

-- name: progress
-- One row per photo that is known; the first refusal speaks for the photo.
SELECT ledger.photo_id, bool_or(state = 'pending') AS pending, bool_or(state = 'rejected') AS rejected,
       bool_or(state = 'failed') AS failed
FROM ledger WHERE library_id = %(library_id)s AND photo_id = ANY(%(ids)s)
GROUP BY ledger.photo_id

-- name: rejections_of
SELECT DISTINCT ON (photo_id) photo_id, file, stage, reason
FROM ledger JOIN photos ON photos.id = photo_id
WHERE photo_id = ANY(%(ids)s) AND state = 'rejected'
ORDER BY photo_id, array_position(%(stages)s::text[], stage)

-- name: rejected
SELECT DISTINCT ON (photo_id) photo_id, file, stage, reason
FROM ledger JOIN photos ON photos.id = photo_id
WHERE ledger.library_id = %(library_id)s AND state = 'rejected' AND photo_id > %(after)s
ORDER BY photo_id, array_position(%(stages)s::text[], stage)
LIMIT %(limit)s

-- name: library
SELECT photos, decisions_revision, unassigned_faces, findings FROM libraries WHERE library_id = %(library_id)s

-- name: ledger_counts
SELECT stage, state, photos FROM ledger_counts WHERE library_id = %(library_id)s

-- name: counts_of_all
SELECT stage, state, sum(photos)::bigint AS photos FROM ledger_counts GROUP BY stage, state

-- name: oldest_pending
SELECT extract(epoch FROM now() - at)::float AS seconds FROM ledger
WHERE library_id = %(library_id)s AND state = 'pending' ORDER BY at LIMIT 1

-- name: named_or_present_people
SELECT id, name, faces, photos,
       (SELECT faces.id FROM faces WHERE person_id = people.id AND state = 'assigned' ORDER BY id LIMIT 1) AS cover_face
FROM people
WHERE library_id = %(library_id)s AND (faces > 0 OR name IS NOT NULL)
ORDER BY people.faces DESC, id

-- name: people_by_id
SELECT id, name, faces, photos, revision FROM people
WHERE library_id = %(library_id)s AND id = ANY(%(ids)s) ORDER BY id

-- name: lock_person
SELECT id, name, revision, decided_revision FROM people WHERE id = %(id)s AND library_id = %(library_id)s FOR UPDATE

-- name: holder_of_name
SELECT id FROM people WHERE library_id = %(library_id)s AND name_key = %(name_key)s AND id <> %(id)s

-- name: name_person
UPDATE people SET name = %(name)s, name_key = %(name_key)s, revision = revision + 1,
    decided_revision = %(decisions_revision)s
WHERE id = %(id)s
RETURNING revision

-- name: raise_decisions
UPDATE libraries SET decisions_revision = decisions_revision + 1 WHERE library_id = %(library_id)s
RETURNING decisions_revision

-- name: assigned_faces
SELECT id FROM faces WHERE person_id = %(id)s AND state = 'assigned' ORDER BY id

-- name: faces_page
SELECT faces.id, photo_id, file, person_id, state
FROM faces JOIN photos ON photos.id = photo_id
WHERE faces.library_id = %(library_id)s AND faces.id > %(after)s
ORDER BY faces.id LIMIT %(limit)s

-- name: next_photos
-- For walks over a whole library in slices.
SELECT id, revision FROM photos
WHERE library_id = %(library_id)s AND id > %(after)s AND uploaded_at IS NOT NULL ORDER BY id LIMIT %(limit)s

-- name: named_people
SELECT id, revision FROM people WHERE library_id = %(library_id)s AND revision > 0 ORDER BY id

-- name: count_ledger
SELECT stage, state, count(*) AS photos FROM ledger WHERE library_id = %(library_id)s GROUP BY stage, state

-- name: count_photos
SELECT count(*) AS photos FROM photos WHERE library_id = %(library_id)s

-- name: count_unassigned
SELECT count(*) AS faces FROM faces WHERE library_id = %(library_id)s AND state IN ('unassigned', 'suggested')

-- name: incomplete_ledgers
-- Photos that lack the row of a stage.
SELECT id FROM photos
WHERE library_id = %(library_id)s AND (SELECT count(*) FROM ledger WHERE photo_id = id) < %(stages)s
LIMIT %(limit)s

-- name: add_missing_stages
INSERT INTO ledger (photo_id, library_id, stage, state)
SELECT id, %(library_id)s, stage, 'pending'
FROM unnest(%(ids)s::uuid[]) AS id CROSS JOIN unnest(%(stages)s::text[]) AS stage
ON CONFLICT DO NOTHING

-- name: write_counts
INSERT INTO ledger_counts (library_id, stage, state, photos)
SELECT %(library_id)s, stage, state, photos
FROM unnest(%(stages)s::text[], %(states)s::text[], %(photos)s::bigint[]) AS truth (stage, state, photos)
ON CONFLICT (library_id, stage, state) DO UPDATE SET photos = excluded.photos

-- name: libraries
SELECT library_id FROM libraries ORDER BY library_id

-- name: lock_library
SELECT photos, unassigned_faces FROM libraries WHERE library_id = %(library_id)s FOR UPDATE

-- name: write_library_counts
UPDATE libraries SET photos = %(photos)s, unassigned_faces = %(unassigned_faces)s, reconciled_at = now()
WHERE library_id = %(library_id)s

-- name: note_findings
UPDATE libraries SET findings = %(findings)s WHERE library_id = %(library_id)s

-- name: stuck
-- Pending for long, with what is known of the photo.
SELECT photo_id, stage, photos.uploaded_at IS NOT NULL AS described
FROM ledger JOIN photos ON photos.id = photo_id
WHERE ledger.library_id = %(library_id)s AND state = 'pending' AND at < now() - %(after)s::interval
ORDER BY at LIMIT %(limit)s
