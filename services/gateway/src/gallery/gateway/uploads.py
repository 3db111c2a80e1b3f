"""Handing the files of a form on to the upload service, each as it arrives."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

from gallery.gateway.errors import BadFormError
from gallery.gateway.form import Form, Part
from gallery.gateway.neighbours import SERVER_ERROR, Neighbour, problem_of

FILE = "file"
HEADERS = {
    "path": "x-gallery-file",
    "sha256": "x-gallery-sha256",
    "modified": "x-gallery-modified",
    "lane": "x-gallery-lane",
    "said": "x-gallery-said",
}
"""Fields that say something of the file that follows them."""
ANY_TEXT = frozenset({"path", "said"})
"""Those that may have characters that a header cannot have."""

Entry = dict[str, Any]


async def hand_on(form: Form, *, upload: Neighbour, library: UUID) -> list[Entry]:
    """Return what became of each file, in order; one that is refused does not stop the others.

    Raises:
        BadFormError: The form cannot be read on; what came before is stored.
        ProblemError: The upload service is not there, or can store nothing now; sending all of it again later is safe.
    """
    entries: list[Entry] = []
    fields: dict[str, str] = {}
    async for part in form.parts():
        if part.name == FILE:
            entries.append(await _hand_on_one(part, fields, upload=upload, library=library))
            fields = {}
        elif part.name in HEADERS:
            fields[part.name] = await part.text()
        else:
            raise BadFormError(f"there is no field {part.name[:40]!r}; a file's field is called {FILE!r}")
    return entries


async def _hand_on_one(part: Part, fields: dict[str, str], *, upload: Neighbour, library: UUID) -> Entry:
    said = {"path": part.filename or "", **fields}
    headers = {HEADERS[name]: quote(value) if name in ANY_TEXT else value for name, value in said.items()}
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise BadFormError("a field before a file has characters that it cannot have")
    answer = await upload.send("/uploads", part.chunks(), library=library, headers=headers)
    if answer.is_success:
        receipt = answer.json()
        return {"file": said["path"], "status": receipt["status"], "photo": receipt["photo_id"]}
    document = problem_of(answer)
    if answer.status_code >= SERVER_ERROR:
        upload.raise_problem(answer)
    code, detail = document.get("code", "refused"), document.get("detail", "")
    return {"file": said["path"], "status": "rejected", "code": code, "detail": detail}
