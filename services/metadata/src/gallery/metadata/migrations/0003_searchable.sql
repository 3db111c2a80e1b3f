-- When everything that was to be seen in a photo could be found for the first time.
ALTER TABLE photos ADD COLUMN searchable_at timestamptz;
-- Of those before, nobody knows when; they are not to count as found just now.
UPDATE photos SET searchable_at = uploaded_at WHERE indexed_revision > 0;
