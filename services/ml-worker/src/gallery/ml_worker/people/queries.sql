-- name: new_faces
-- Faces that nothing was proposed for, whole photos at a time, the oldest first.
SELECT faces.id, faces.photo_id, faces.vector, faces.ignored
FROM faces
WHERE faces.library_id = %(library_id)s AND faces.pack = %(pack)s AND faces.photo_id IN (
    SELECT photo_id FROM faces AS new
    WHERE new.library_id = %(library_id)s AND new.pack = %(pack)s
      AND NOT EXISTS (SELECT FROM proposals WHERE proposals.face_id = new.id)
    GROUP BY photo_id ORDER BY photo_id LIMIT %(photos)s)
ORDER BY faces.photo_id, faces.id

-- name: known_faces
SELECT face_id, photo_id, person_id FROM proposals
WHERE library_id = %(library_id)s AND pack = %(pack)s AND face_id = ANY(%(ids)s) AND state <> 'ignored'

-- name: all_faces
-- What a canonical grouping needs, with a key that no arrival changes: content of the photo and place of the face.
SELECT faces.id, faces.photo_id, photos.sha256, faces.box, faces.vector, faces.ignored,
       decisions.face_id IS NOT NULL AS judged, decisions.person_id AS judged_person,
       proposals.person_id, proposals.state, proposals.rule, proposals.pack = faces.pack AS current
FROM faces
JOIN photos ON photos.id = faces.photo_id
LEFT JOIN decisions ON decisions.face_id = faces.id
LEFT JOIN proposals ON proposals.face_id = faces.id
WHERE faces.library_id = %(library_id)s AND faces.pack = %(pack)s

-- name: ensure_library
INSERT INTO people_libraries (library_id) VALUES (%(library_id)s) ON CONFLICT DO NOTHING

-- name: library
SELECT decisions_revision, changed, grouped FROM people_libraries WHERE library_id = %(library_id)s

-- name: note_change
INSERT INTO people_libraries (library_id, decisions_revision, changed)
VALUES (%(library_id)s, %(decisions_revision)s, 1)
ON CONFLICT (library_id) DO UPDATE SET
    decisions_revision = greatest(people_libraries.decisions_revision, excluded.decisions_revision),
    changed = people_libraries.changed + 1

-- name: note_grouping
UPDATE people_libraries SET grouped = greatest(grouped, %(changed)s) WHERE library_id = %(library_id)s

-- name: libraries_due
SELECT library_id FROM people_libraries WHERE changed > grouped ORDER BY library_id

-- name: decide
-- An older decision never replaces a newer one.
INSERT INTO decisions (face_id, library_id, person_id, revision)
VALUES (%(face_id)s, %(library_id)s, %(person_id)s, %(revision)s)
ON CONFLICT (face_id) DO UPDATE SET person_id = excluded.person_id, revision = excluded.revision
WHERE decisions.revision < excluded.revision

-- name: put_proposal
-- A face that was taken back meanwhile gets none.
INSERT INTO proposals (face_id, library_id, photo_id, pack, person_id, state, rule, threshold, similarity, margin,
                       runner_up, examples)
SELECT faces.id, faces.library_id, faces.photo_id, faces.pack, %(person_id)s, %(state)s, %(rule)s, %(threshold)s,
       %(similarity)s, %(margin)s, %(runner_up)s, %(examples)s
FROM faces WHERE faces.id = %(face_id)s
ON CONFLICT (face_id) DO UPDATE SET
    pack = excluded.pack, person_id = excluded.person_id, state = excluded.state, rule = excluded.rule,
    threshold = excluded.threshold,
    similarity = excluded.similarity, margin = excluded.margin, runner_up = excluded.runner_up,
    examples = excluded.examples

-- name: outdated
-- Faces looked at again with another pack keep their person until the library is grouped by the new vectors.
SELECT EXISTS (SELECT FROM proposals JOIN faces ON faces.id = proposals.face_id
               WHERE proposals.library_id = %(library_id)s AND faces.pack = %(pack)s
                 AND proposals.pack <> faces.pack) AS outdated

-- name: photos_of
SELECT DISTINCT photo_id FROM faces WHERE id = ANY(%(ids)s)

-- name: proposals_of_photo
SELECT face_id, person_id, state FROM proposals WHERE photo_id = %(photo_id)s ORDER BY face_id

-- name: raise_proposal
INSERT INTO proposed_photos (photo_id, revision) VALUES (%(photo_id)s, 1)
ON CONFLICT (photo_id) DO UPDATE SET revision = proposed_photos.revision + 1
RETURNING revision

-- name: proposed_photos
SELECT photo_id, proposed_photos.revision FROM proposed_photos JOIN photos ON photos.id = photo_id
WHERE library_id = %(library_id)s AND photo_id > %(after)s ORDER BY photo_id LIMIT %(limit)s

-- name: hold_lease
-- Only who still holds the work may write in its name; meanwhile nobody else can claim it.
UPDATE work SET leased_until = now() + %(lease)s WHERE id = %(id)s AND fence = %(fence)s RETURNING id

-- name: vectors_of_library
SELECT id, vector FROM faces WHERE library_id = %(library_id)s AND pack = %(pack)s AND ignored IS NULL

-- name: count_vectors
SELECT count(*) AS faces FROM faces WHERE library_id = %(library_id)s AND pack = %(pack)s AND ignored IS NULL

-- name: explanation
SELECT proposals.face_id, proposals.photo_id, proposals.person_id, proposals.state, rule, threshold, similarity, margin,
       runner_up, examples
FROM proposals WHERE library_id = %(library_id)s AND face_id = %(face_id)s

-- name: grouping_pending
SELECT EXISTS (SELECT FROM people_libraries WHERE library_id = %(library_id)s AND changed > grouped)
    OR EXISTS (SELECT FROM work WHERE library_id = %(library_id)s AND stage = 'people') AS pending
