"""What reading a file can raise, be it in a folder or in an archive."""

import zipfile
import zlib
from lzma import LZMAError

FAULTS = (zipfile.BadZipFile, zlib.error, LZMAError, NotImplementedError, EOFError, OSError, RuntimeError, ValueError)
"""What ``open``, ``zipfile`` and the decompressors raise on files that are broken or unusual."""
