"""All five services in one process tree, on the embedded profile."""
