"""Named statements in SQL files: ``-- name: insert_blob``, comments, then the statement."""

import re
from importlib.resources import files

from psycopg.sql import SQL

_HEADER = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


class Queries:
    """The statements of one package's ``queries.sql``, as attributes."""

    def __init__(self, statements: dict[str, str]) -> None:
        self._statements = {name: SQL(text) for name, text in statements.items()}

    @classmethod
    def load(cls, package: str, file: str = "queries.sql") -> "Queries":
        """Read the statements of ``file`` in ``package``."""
        parts = _HEADER.split((files(package) / file).read_text())
        return cls(dict(zip(parts[1::2], parts[2::2], strict=True)))

    def __getattr__(self, name: str) -> SQL:
        """Return a statement; a name that the file lacks is a mistake in the program."""
        try:
            return self._statements[name]
        except KeyError:
            raise AttributeError(f"there is no statement {name!r}") from None
