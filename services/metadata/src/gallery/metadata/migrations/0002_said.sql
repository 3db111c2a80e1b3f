-- What another gallery said of a photo, and where the position came from.
ALTER TABLE photos ADD COLUMN said jsonb, ADD COLUMN gps_from text;
UPDATE photos SET gps_from = 'header' WHERE latitude IS NOT NULL;
COMMENT ON COLUMN photos.said IS 'As it was said; of people''s names and albums nothing is made yet.';
