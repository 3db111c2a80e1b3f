"""The gallery command; it talks to the public API only."""
