"""The catalogue: what is known of each photo, and what people decided."""
