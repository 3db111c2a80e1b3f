"""Every file of the shared collections is shown, or refused for the reason that is right for it."""

from pathlib import Path

import pytest
from support.pictures import distance, render

from gallery.ml_worker.errors import RejectedError

REFUSED = {
    "2000.xmp": "unsupported_type",
    "2010.xmp": "unsupported_type",
    "pv_jpegxl.jxl": "unsupported_type",
    "pv_jpg2000.jp2": "unsupported_type",
    "ukbench09268_corrupt.jpg": "unsupported_type",  # begins in the middle of a picture
    "me_e34116d68f49c7852b362ec72a636df5.gif": "undecodable",  # ten bytes
    "me_NullPointerException.HeifPictureHandler.processBox.heif": "undecodable",  # its picture is damaged
}
FOLDERS = ("formats", "exif", "objects", "facecount", "nature", "neardup", "text", "video")


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_is_shown_or_refused_for_the_right_reason(shared: Path, folder: str) -> None:
    refused = {}
    for path in sorted((shared / "photos" / folder).iterdir()):
        try:
            rendering = render(path.read_bytes())
        except RejectedError as error:
            refused[path.name] = error.code
        else:
            assert min(rendering.width, rendering.height) > 0, path.name
    names = {path.name for path in (shared / "photos" / folder).iterdir()}
    assert refused == {name: code for name, code in REFUSED.items() if name in names}


def test_near_duplicates_are_near_and_others_are_not(shared: Path) -> None:
    def hashes(name: str) -> tuple[int, int]:
        measured = render((shared / "photos/neardup" / name).read_bytes()).measures
        return measured.phash, measured.dhash

    first, grey, resized = (hashes(f"ukbench00120{kind}.jpg") for kind in ("", "_gray", "_resize"))
    other = hashes("ukbench09060.jpg")
    for kind in (0, 1):
        assert (first[kind] ^ grey[kind]).bit_count() <= 6
        assert (first[kind] ^ resized[kind]).bit_count() <= 8
        assert (first[kind] ^ other[kind]).bit_count() >= 16


def test_a_phone_that_left_turning_to_exif_is_understood(shared: Path) -> None:
    rendering = render((shared / "photos/formats/pp_iphone_7.heic").read_bytes())
    assert (rendering.width, rendering.height) == (3024, 4032)


def test_turned_and_unturned_arrows_of_two_formats_agree(shared: Path) -> None:
    for name in ("left_arrow_normal", "up_arrow_90cw"):
        web, other = (
            render((shared / f"photos/formats/pv_{name}_{kind}").read_bytes()) for kind in ("web.jpg", "nonweb.tiff")
        )
        assert (web.width, web.height) == (other.width, other.height)
        assert distance(web.thumbnail, other.thumbnail) < 6
