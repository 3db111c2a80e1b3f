"""Looks at photos: renditions, faces, vectors, tags, and proposals about people."""
