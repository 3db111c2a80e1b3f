"""Finds photos: a read model that can be rebuilt at any time."""
