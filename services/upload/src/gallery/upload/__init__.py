"""Takes originals in, keeps them, and says so."""
