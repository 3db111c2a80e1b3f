-- What each library holds, and how much it may.

CREATE TABLE libraries (
    library_id  uuid PRIMARY KEY,
    photos      bigint NOT NULL DEFAULT 0,
    bytes       bigint NOT NULL DEFAULT 0,
    most_photos bigint CHECK (most_photos >= 0),
    most_bytes  bigint CHECK (most_bytes >= 0)
);
COMMENT ON TABLE libraries IS 'The counts are those of originals, at every commit; without a limit there is none.';

-- A trigger counts whoever inserts, processes of an older release included.
CREATE FUNCTION count_original() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO libraries (library_id, photos, bytes) VALUES (NEW.library_id, 1, NEW.size_bytes)
        ON CONFLICT (library_id) DO UPDATE SET photos = libraries.photos + 1, bytes = libraries.bytes + excluded.bytes;
    ELSE
        UPDATE libraries SET photos = photos - 1, bytes = bytes - OLD.size_bytes WHERE library_id = OLD.library_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER originals_are_counted AFTER INSERT OR DELETE ON originals FOR EACH ROW EXECUTE FUNCTION count_original();

INSERT INTO libraries (library_id, photos, bytes)
SELECT library_id, count(*), sum(size_bytes) FROM originals GROUP BY library_id;
