"""Finding faces, and turning each into a vector."""
