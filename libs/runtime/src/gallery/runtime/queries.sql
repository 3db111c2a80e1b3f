-- name: append_fact
-- The epoch is the newest; the transaction id is this transaction's.
INSERT INTO outbox (epoch, id, topic, type, key, library_id, revision, traceparent, data)
SELECT max(epoch), %(id)s, %(topic)s, %(type)s, %(key)s, %(library_id)s, %(revision)s, %(traceparent)s, %(data)s
FROM epochs

-- name: remember_events
INSERT INTO inbox (subscription, event_id, at)
SELECT %(subscription)s, event_id, at FROM unnest(%(ids)s::uuid[], %(ats)s::timestamptz[]) AS event (event_id, at)
ON CONFLICT DO NOTHING
RETURNING event_id

-- name: bury
-- What joins a key that is being replayed is replayed with it. A message that comes twice is kept once, and when it comes
-- to join it waits here already, with its own cause. One that is to join is not kept when nothing of its key is parked
-- any more: one statement, so that nothing changes between look and act.
INSERT INTO dead_letters (id, subscription, event_id, topic, type, key, library_id, revision, event_at, traceparent, data,
                          state, cause, traceback, replay_id, replay_at)
SELECT %(id)s, %(subscription)s, %(event_id)s, %(topic)s, %(type)s, %(key)s, %(library_id)s, %(revision)s, %(event_at)s,
       %(traceparent)s, %(data)s, %(state)s, %(cause)s, %(traceback)s, joined.replay_id, joined.replay_at
FROM (VALUES (1)) AS one
LEFT JOIN LATERAL (
    SELECT uuidv7() AS replay_id, now() AS replay_at FROM dead_letters
    WHERE subscription = %(subscription)s AND key = %(key)s AND state = 'parked' AND replay_id IS NOT NULL
    LIMIT 1
) AS joined ON %(state)s = 'parked'
WHERE NOT %(behind)s OR EXISTS (
    SELECT FROM dead_letters WHERE subscription = %(subscription)s AND key = %(key)s AND state = 'parked'
)
ON CONFLICT (subscription, event_id) DO UPDATE SET
    state = CASE WHEN %(behind)s THEN dead_letters.state ELSE excluded.state END,
    cause = CASE WHEN %(behind)s THEN dead_letters.cause ELSE excluded.cause END,
    traceback = CASE WHEN %(behind)s THEN dead_letters.traceback ELSE excluded.traceback END,
    at = CASE WHEN %(behind)s THEN dead_letters.at ELSE now() END
RETURNING id

-- name: bury_again
UPDATE dead_letters
SET replay_id = NULL, replay_at = NULL, state = %(state)s, cause = %(cause)s, traceback = %(traceback)s, at = now()
WHERE subscription = %(subscription)s AND replay_id = %(event_id)s

-- name: rest
-- What was to be replayed behind one that failed again would overtake it.
UPDATE dead_letters SET replay_id = NULL, replay_at = NULL, state = 'parked'
WHERE subscription = %(subscription)s AND key = %(key)s AND replay_id IS NOT NULL

-- name: parked_keys
SELECT DISTINCT key FROM dead_letters WHERE subscription = %(subscription)s AND state = 'parked'

-- name: is_parked
SELECT FROM dead_letters WHERE subscription = %(subscription)s AND key = %(key)s AND state = 'parked' LIMIT 1

-- name: list_dead_letters
SELECT id, subscription, event_id, topic, type, key, library_id, revision, cause, at,
       CASE WHEN replay_id IS NULL THEN state ELSE 'replaying' END AS state
FROM dead_letters ORDER BY seq LIMIT %(limit)s

-- name: count_dead_letters
-- States that no letter is in count, too.
SELECT state, count(id) AS letters
FROM unnest(ARRAY['dead', 'parked', 'replaying']) AS state
LEFT JOIN (
    SELECT id, CASE WHEN replay_id IS NULL THEN state ELSE 'replaying' END AS now_in
    FROM dead_letters WHERE subscription = %(subscription)s
) AS letter ON now_in = state
GROUP BY state

-- name: show_dead_letter
SELECT id, subscription, event_id, topic, type, key, library_id, revision, cause, traceback, data, at,
       CASE WHEN replay_id IS NULL THEN state ELSE 'replaying' END AS state
FROM dead_letters WHERE id = %(id)s

-- name: replay_dead_letter
-- A parked key is replayed whole, in its order, or it would come out inverted.
UPDATE dead_letters SET replay_id = uuidv7(), replay_at = now()
WHERE replay_id IS NULL AND (
    id = %(id)s
    OR (state = 'parked' AND (subscription, key) IN
        (SELECT subscription, key FROM dead_letters WHERE id = %(id)s AND state = 'parked'))
)
RETURNING id

-- name: replaying
SELECT replay_id, topic, type, key, library_id, revision, replay_at, traceparent, data
FROM dead_letters WHERE subscription = %(subscription)s AND replay_id IS NOT NULL ORDER BY seq LIMIT %(limit)s

-- name: is_replaying
SELECT FROM dead_letters WHERE subscription = %(subscription)s AND replay_id = %(replay_id)s

-- name: forget_dead_letter
DELETE FROM dead_letters WHERE subscription = %(subscription)s AND replay_id = %(replay_id)s

-- name: begin_epoch_after_restore
-- Another cluster than last time, or facts from transactions that are still to come.
INSERT INTO epochs (epoch, system_identifier)
SELECT last.epoch + 1, here.system_identifier
FROM pg_control_system() AS here, (SELECT epoch, system_identifier FROM epochs ORDER BY epoch DESC LIMIT 1) AS last
WHERE here.system_identifier <> last.system_identifier
   OR EXISTS (SELECT FROM outbox WHERE epoch = last.epoch AND xid >= pg_snapshot_xmax(pg_current_snapshot()))

-- name: add_work
-- Asked for again while somebody works on it: the row outlives that lease.
INSERT INTO work (library_id, subject, stage, lane, traceparent)
VALUES (%(library_id)s, %(subject)s, %(stage)s, %(lane)s, %(traceparent)s)
ON CONFLICT (subject, stage) DO UPDATE SET
    asked = work.asked + 1,
    traceparent = excluded.traceparent,
    lane = CASE WHEN excluded.lane = 'interactive' THEN 'interactive' ELSE work.lane END

-- name: claim_work
-- Round robin over the libraries of a lane, as many turns in a round as a library has weight; three slots in four go to the interactive lane, by chance, so that claims of
-- one do not starve backfill. Queues are found by jumping through the index: the cost grows with the number of
-- libraries, not with the work that waits.
WITH RECURSIVE queues AS (
    (SELECT stage, lane, library_id FROM work WHERE stage = ANY(%(stages)s) ORDER BY stage, lane, library_id LIMIT 1)
    UNION ALL
    SELECT later.stage, later.lane, later.library_id
    FROM queues CROSS JOIN LATERAL (
        SELECT stage, lane, library_id FROM work
        WHERE (stage, lane, library_id) > (queues.stage, queues.lane, queues.library_id) AND stage = ANY(%(stages)s)
        ORDER BY stage, lane, library_id LIMIT 1
    ) AS later
), heads AS (
    SELECT head.id, queues.lane,
           (row_number() OVER (PARTITION BY queues.lane, queues.library_id ORDER BY head.id) - 1)
           / coalesce(shares.weight, 1) AS round
    FROM queues LEFT JOIN shares USING (library_id) CROSS JOIN LATERAL (
        SELECT id FROM work
        WHERE stage = queues.stage AND lane = queues.lane AND library_id = queues.library_id
          AND not_before <= now() AND (leased_until IS NULL OR leased_until < now())
        ORDER BY id LIMIT 2 * %(limit)s + coalesce(shares.weight, 1) -- some may be locked by another claim
    ) AS head
    WHERE queues.lane = ANY(%(lanes)s)
      AND NOT (%(pausable)s AND queues.lane = 'backfill' AND coalesce(shares.paused, false))
), ranked AS (
    SELECT id, (row_number() OVER (PARTITION BY lane ORDER BY round, random()) - random())
               * CASE lane WHEN 'interactive' THEN 1 ELSE 3 END AS place
    FROM heads
    ORDER BY place LIMIT 2 * %(limit)s
), chosen AS (
    SELECT work.id FROM work JOIN ranked USING (id)
    WHERE leased_until IS NULL OR leased_until < now()
    ORDER BY ranked.place
    LIMIT %(limit)s
    FOR UPDATE OF work SKIP LOCKED
)
UPDATE work SET
    attempt = attempt + 1,
    fence = nextval('fences'),
    leased_until = now() + %(lease)s
FROM chosen WHERE work.id = chosen.id
RETURNING work.id, library_id, subject, stage, lane, asked, attempt, fence, traceparent, created AS asked_at

-- name: finish_work
-- Gone, unless it was asked for again meanwhile.
WITH held AS (
    SELECT id, asked, library_id, stage, lane FROM work WHERE id = %(id)s AND fence = %(fence)s FOR UPDATE
), again AS (
    UPDATE work SET leased_until = NULL, attempt = 0, not_before = now()
    FROM held WHERE work.id = held.id AND held.asked > %(asked)s
), done AS (
    DELETE FROM work USING held WHERE work.id = held.id AND held.asked <= %(asked)s
), ended AS (
    INSERT INTO ended_work (library_id, stage, lane) SELECT library_id, stage, lane FROM held
)
SELECT id FROM held

-- name: release_work
UPDATE work SET leased_until = NULL, not_before = now() + %(after)s, attempt = attempt - %(uncounted)s
WHERE id = %(id)s AND fence = %(fence)s

-- name: work_depth
SELECT stage, lane, count(*) AS pending,
       extract(epoch FROM now() - min(created))::float AS oldest_seconds
FROM work GROUP BY stage, lane ORDER BY stage, lane

-- name: library_has_work
-- What is paused is not waited for.
SELECT EXISTS (
    SELECT FROM work WHERE library_id = %(library_id)s AND stage = %(stage)s
      AND lane = ANY(CASE WHEN EXISTS (SELECT FROM shares WHERE library_id = %(library_id)s AND paused)
                          THEN ARRAY['interactive'] ELSE ARRAY['interactive', 'backfill'] END)) AS pending

-- name: share
SELECT weight, paused FROM shares WHERE library_id = %(library_id)s

-- name: change_share
INSERT INTO shares (library_id, weight, paused)
VALUES (%(library_id)s, coalesce(%(weight)s::smallint, 1), coalesce(%(paused)s::boolean, false))
ON CONFLICT (library_id) DO UPDATE SET
    weight = coalesce(%(weight)s::smallint, shares.weight),
    paused = coalesce(%(paused)s::boolean, shares.paused)

-- name: work_pace
SELECT lane, coalesce(waiting.jobs, 0)::int AS pending,
       coalesce(recent.jobs * 60 / extract(epoch FROM greatest(now() - recent.since, %(shortest)s)), 0)::float AS per_minute
FROM unnest(ARRAY['interactive', 'backfill']) AS lane
LEFT JOIN (
    SELECT lane, count(*) AS jobs FROM work WHERE library_id = %(library_id)s AND stage = %(stage)s GROUP BY lane
) AS waiting USING (lane)
LEFT JOIN (
    SELECT lane, count(*) AS jobs, min(at) AS since FROM ended_work
    WHERE library_id = %(library_id)s AND stage = %(stage)s AND at > now() - %(over)s GROUP BY lane
) AS recent USING (lane)

-- name: forget_ended_work
DELETE FROM ended_work WHERE at <= now() - %(over)s
