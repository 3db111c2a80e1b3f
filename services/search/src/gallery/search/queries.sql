-- name: note_changed
-- However many changes, one row; what is being worked on stays with its worker, who will see the newer revision.
INSERT INTO pending AS known (library_id, photo_id, revision)
SELECT * FROM unnest(%(library_ids)s::uuid[], %(photo_ids)s::uuid[], %(revisions)s::bigint[])
ON CONFLICT (library_id, photo_id) DO UPDATE SET
    revision = greatest(known.revision, excluded.revision),
    not_before = CASE WHEN known.claim IS NULL THEN least(known.not_before, now()) ELSE known.not_before END

-- name: claim
-- The oldest due row names the library, and the younger ones come with it; one that failed often is taken alone, so
-- that it cannot spoil a batch.
WITH oldest AS (
    SELECT library_id, attempts >= %(alone_after)s AS alone FROM pending
    WHERE not_before <= now() - %(filling)s::interval ORDER BY not_before LIMIT 1
), chosen AS (
    SELECT library_id, photo_id FROM pending
    WHERE library_id = (SELECT library_id FROM oldest) AND not_before <= now()
      AND (attempts >= %(alone_after)s) = (SELECT alone FROM oldest)
    ORDER BY not_before
    LIMIT (SELECT CASE WHEN alone THEN 1 ELSE %(limit)s END FROM oldest)
    FOR UPDATE SKIP LOCKED
), number AS MATERIALIZED (SELECT nextval('claims') AS claim)
UPDATE pending SET claim = number.claim, attempts = attempts + 1, not_before = now() + %(lease)s
FROM chosen, number
WHERE (pending.library_id, pending.photo_id) = (chosen.library_id, chosen.photo_id)
RETURNING pending.library_id, pending.photo_id, pending.revision, pending.attempts, pending.claim

-- name: lengthen
WITH held AS (
    SELECT photo_id FROM pending
    WHERE library_id = %(library_id)s AND photo_id = ANY(%(photo_ids)s) AND claim = %(claim)s
    ORDER BY photo_id FOR UPDATE
)
UPDATE pending SET not_before = now() + %(lease)s FROM held
WHERE pending.library_id = %(library_id)s AND pending.photo_id = held.photo_id

-- name: give_back
UPDATE pending SET claim = NULL, not_before = now() + %(pause)s, attempts = attempts - %(blameless)s::integer
WHERE library_id = %(library_id)s AND photo_id = ANY(%(photo_ids)s) AND claim = %(claim)s

-- name: still_ours
-- In order, as every taker of several locks.
SELECT photo_id FROM pending
WHERE library_id = %(library_id)s AND photo_id = ANY(%(photo_ids)s) AND claim = %(claim)s
ORDER BY photo_id FOR UPDATE

-- name: put_document
INSERT INTO documents AS kept (library_id, photo_id, revision, catalogue_revision, taken_at, terms, tag_scores,
                               labels, person_ids)
VALUES (%(library_id)s, %(photo_id)s, %(revision)s, %(catalogue_revision)s, %(taken_at)s, %(terms)s, %(tag_scores)s,
        %(labels)s, %(person_ids)s)
ON CONFLICT (library_id, photo_id) DO UPDATE SET
    revision = excluded.revision, catalogue_revision = excluded.catalogue_revision, taken_at = excluded.taken_at,
    terms = excluded.terms, tag_scores = excluded.tag_scores, labels = excluded.labels,
    person_ids = excluded.person_ids
WHERE kept.revision < excluded.revision

-- name: delete_documents
DELETE FROM documents WHERE library_id = %(library_id)s AND photo_id = ANY(%(photo_ids)s)

-- name: done
-- One that has changed again meanwhile stays, to be taken once more.
WITH settled AS (
    SELECT photo_id, revision FROM unnest(%(photo_ids)s::uuid[], %(revisions)s::bigint[]) AS one (photo_id, revision)
), gone AS (
    DELETE FROM pending USING settled
    WHERE pending.library_id = %(library_id)s AND pending.photo_id = settled.photo_id
      AND pending.claim = %(claim)s AND pending.revision <= settled.revision
)
UPDATE pending SET claim = NULL, attempts = 0, not_before = now() FROM settled
WHERE pending.library_id = %(library_id)s AND pending.photo_id = settled.photo_id
  AND pending.claim = %(claim)s AND pending.revision > settled.revision

-- name: release
-- What is being worked on is taken again, and that work is lost: it may be on its way to an index that is no more.
WITH taken AS (
    SELECT photo_id FROM pending
    WHERE library_id = %(library_id)s AND claim IS NOT NULL ORDER BY photo_id FOR UPDATE
)
UPDATE pending SET claim = NULL, not_before = now() FROM taken
WHERE pending.library_id = %(library_id)s AND pending.photo_id = taken.photo_id

-- name: rebuild
-- A slice of the library's photos, by id; returns where the next slice begins.
WITH slice AS (
    SELECT photo_id, catalogue_revision FROM documents
    WHERE library_id = %(library_id)s AND photo_id > %(after)s ORDER BY photo_id LIMIT %(limit)s
), noted AS (
    INSERT INTO pending (library_id, photo_id, revision)
    SELECT %(library_id)s, photo_id, catalogue_revision FROM slice ORDER BY photo_id
    ON CONFLICT DO NOTHING
)
SELECT photo_id FROM slice ORDER BY photo_id DESC LIMIT 1

-- name: next_number
SELECT nextval('claims') AS number

-- name: libraries
SELECT library_id FROM documents UNION SELECT library_id FROM pending

-- name: count_older
SELECT count(*) AS photos FROM documents WHERE revision < %(number)s

-- name: count_pending
SELECT count(*) AS pending FROM pending WHERE library_id = %(library_id)s

-- name: put_person
INSERT INTO people AS known (library_id, person_id, revision, name, terms)
VALUES (%(library_id)s, %(person_id)s, %(revision)s, %(name)s, %(terms)s)
ON CONFLICT (library_id, person_id) DO UPDATE SET
    revision = excluded.revision, name = excluded.name, terms = excluded.terms
WHERE known.revision <= excluded.revision

-- name: people_named
SELECT person_id, terms FROM people WHERE library_id = %(library_id)s AND terms && %(terms)s::text[]

-- name: name_words
SELECT DISTINCT word FROM people, unnest(terms) AS word
WHERE library_id = %(library_id)s AND length(word) BETWEEN %(shortest)s AND %(longest)s

-- name: live
SELECT photo_id, terms, tag_scores, person_ids FROM documents
WHERE library_id = %(library_id)s AND photo_id = ANY(%(photo_ids)s)

-- name: facets
-- The most frequent values among these photos, twenty of each kind.
WITH hits AS (
    SELECT person_ids, labels, taken_at FROM documents
    WHERE library_id = %(library_id)s AND photo_id = ANY(%(photo_ids)s)
), counted AS (
    SELECT 'people' AS facet, person_id::text AS value, count(*) AS photos
    FROM hits, unnest(person_ids) AS person_id GROUP BY person_id
    UNION ALL
    SELECT 'tags', label, count(*) FROM hits, unnest(labels) AS label GROUP BY label
    UNION ALL
    SELECT 'years', to_char(taken_at, 'YYYY'), count(*) FROM hits GROUP BY 2
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY facet ORDER BY photos DESC, value) AS rank FROM counted
)
SELECT facet, value, photos, name FROM ranked
LEFT JOIN people ON facet = 'people' AND library_id = %(library_id)s AND person_id::text = value
WHERE rank <= 20 ORDER BY facet, rank
