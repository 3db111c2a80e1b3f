-- What another gallery said of a photo: names, places, albums. Personal data, kept with the names of files.
ALTER TABLE file_names ADD COLUMN said jsonb;
