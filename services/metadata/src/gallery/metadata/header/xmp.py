"""XMP, read where EXIF is silent. A strict reader: no document type, so no entities, nothing to expand or to fetch.

Source: XMP specification part 1 (ISO 16684-1): a simple property is an attribute or a child of ``rdf:Description``.
"""

from xml.parsers import expat

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_NAMES = {
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://cipa.jp/exif/1.0/": "exifEX",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/exif/1.0/aux/": "aux",
}
_LONGEST_VALUE = 500
_DEEPEST = 64


class _RefusedError(Exception):
    """The packet uses what XMP has no need of."""


class _Reader:
    """Collects the simple properties of the top description."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self._path: list[str] = []
        self._text = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name)
        self._text = ""
        if len(self._path) > _DEEPEST:
            raise _RefusedError
        if name == f"{_RDF} Description" and self._depth() == 1:
            for key, value in attributes.items():
                self._keep(key, value)

    def end(self, name: str) -> None:
        self._path.pop()
        if self._path and self._path[-1] == f"{_RDF} Description" and self._depth() == 1:
            self._keep(name, self._text)
        self._text = ""

    def text(self, content: str) -> None:
        if len(self._text) < _LONGEST_VALUE:
            self._text += content

    def _depth(self) -> int:
        return self._path.count(f"{_RDF} Description")

    def _keep(self, name: str, value: str) -> None:
        space, _, local = name.rpartition(" ")
        if space in _NAMES and value.strip():
            self.found.setdefault(f"{_NAMES[space]}:{local}", value.strip()[:_LONGEST_VALUE])


def _refuse(*_: object) -> None:
    raise _RefusedError


def read(packet: bytes) -> tuple[dict[str, str], bool]:
    """Give the simple properties, such as ``exif:DateTimeOriginal``, and whether the packet was broken.

    What stood before the break is kept.
    """
    if not packet.strip(b"\x00 \r\n\t"):
        return {}, False
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(packet.rstrip(b"\x00"), True)
    except (expat.ExpatError, _RefusedError, ValueError):
        return reader.found, True
    return reader.found, False
