"""Deciding which faces are one person: rules on numbers, without a database."""
