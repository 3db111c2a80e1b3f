"""One decode of any format gives the same upright sRGB picture, or a typed refusal."""

import io
from base64 import b64encode
from pathlib import Path

import cv2
import numpy as np
import piexif
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from support.pictures import distance, quarters, render, saved, shown

from gallery.ml_worker.errors import RejectedError
from gallery.ml_worker.media.decoding import decode
from gallery.ml_worker.media.orientation import orientation
from gallery.ml_worker.media.source import PixelBudget
from gallery.ml_worker.media.thumbhash import thumbhash

REFERENCE = saved(quarters(), "JPEG", quality=95)
SAME = 6.0
"""Mean difference of two thumbnails that only their coding tells apart."""

# What to do to an upright picture so that each orientation value turns it back.
UNDO = {
    1: lambda image: image,
    2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
    4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
    6: lambda image: image.transpose(Image.Transpose.ROTATE_90),
    7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
    8: lambda image: image.transpose(Image.Transpose.ROTATE_270),
}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("value", range(1, 9))
def test_every_orientation_of_every_format_stands_upright(form: str, value: int) -> None:
    exif = Image.Exif()
    exif[274] = value
    done = render(saved(UNDO[value](quarters()), form, exif=exif))
    assert (done.width, done.height) == (640, 480)
    assert done.picture.shape == (480, 640, 3)
    assert distance(done.thumbnail, REFERENCE) < SAME


def test_the_eight_orientations_of_real_photos_are_one_picture(shared: Path) -> None:
    for shape in ("landscape", "portrait"):
        thumbs = [
            render((shared / f"photos/exif/jpg__orientation__{shape}_{value}.jpg").read_bytes()).thumbnail
            for value in range(1, 9)
        ]
        assert max(distance(thumb, thumbs[0]) for thumb in thumbs) < SAME


def modes() -> list[tuple[str, bytes]]:
    picture = quarters()
    clear = picture.convert("RGBA")
    clear.putalpha(255)
    deep = cv2.cvtColor(np.asarray(picture).astype(np.uint16) * 257, cv2.COLOR_RGB2BGR)
    return [
        ("palette", saved(picture.quantize(16), "PNG")),
        ("gif", saved(picture, "GIF")),
        ("animated gif", saved(picture, "GIF", save_all=True, append_images=[Image.new("RGB", picture.size)])),
        ("animated webp", saved(picture, "WEBP", save_all=True, append_images=[Image.new("RGB", picture.size)])),
        ("pages", saved(picture, "TIFF", save_all=True, append_images=[Image.new("RGB", picture.size)])),
        ("alpha", saved(clear, "PNG")),
        ("bmp", saved(picture, "BMP")),
        ("progressive", saved(picture, "JPEG", progressive=True)),
        ("cmyk", saved(picture.convert("CMYK"), "JPEG")),
        ("cmyk tiff", saved(picture.convert("CMYK"), "TIFF")),
        ("deflated tiff", saved(picture, "TIFF", compression="tiff_adobe_deflate")),
        ("lzw tiff", saved(picture, "TIFF", compression="tiff_lzw")),
        ("16 bit png", cv2.imencode(".png", deep)[1].tobytes()),
        ("16 bit tiff", cv2.imencode(".tiff", deep)[1].tobytes()),
    ]


@pytest.mark.parametrize(("name", "content"), modes(), ids=[name for name, _ in modes()])
def test_every_kind_of_pixels_becomes_the_same_picture(name: str, content: bytes) -> None:
    assert distance(render(content).thumbnail, REFERENCE) < SAME, name


def test_deep_grey_keeps_its_shades() -> None:
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (64, 1))
    for form in (".png", ".tiff"):
        grey = shown(render(cv2.imencode(form, ramp)[1].tobytes()).preview, width=4, height=1)[0, :, 0]
        assert np.abs(grey - [32, 96, 160, 223]).max() < 4


def test_transparency_is_shown_over_white() -> None:
    clear = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    assert shown(render(saved(clear, "PNG")).preview, width=1, height=1).min() > 250
    index = Image.new("P", (64, 64))
    index.putpalette([0, 0, 0, 255, 0, 0])
    assert shown(render(saved(index, "GIF", transparency=0)).preview, width=1, height=1).min() > 250


def test_colours_of_a_wide_profile_become_srgb() -> None:
    """A pure red of a profile whose red and green are swapped is green."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = bytearray(srgb)
    red, green = swapped.find(b"rXYZ"), swapped.find(b"gXYZ")
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    name = swapped.find(b"s\x00R\x00G\x00B")
    while name >= 0:
        swapped[name : name + 7] = b"x\x00Y\x00Z\x00Z"
        name = swapped.find(b"s\x00R\x00G\x00B")
    picture = Image.new("RGB", (64, 64), (255, 0, 0))
    for form in ("JPEG", "PNG", "TIFF", "WEBP"):
        red_seen, green_seen, _ = shown(
            render(saved(picture, form, icc_profile=bytes(swapped))).preview, width=1, height=1
        )[0, 0]
        assert green_seen > 240, form
        assert red_seen < 30, form
        assert shown(render(saved(picture, form, icc_profile=srgb)).preview, width=1, height=1)[0, 0, 0] > 240, form


def test_a_broken_profile_stops_nothing() -> None:
    content = saved(quarters(), "JPEG", icc_profile=b"\x00" * 16 + b"RGB " + b"nonsense" * 20)
    assert distance(render(content).thumbnail, REFERENCE) < SAME


@pytest.mark.parametrize("size", [(4000, 3000), (2880, 100), (1441, 1441), (1440, 1080), (300, 200), (1, 1)])
def test_sizes(size: tuple[int, int]) -> None:
    done = render(saved(quarters(*size), "JPEG"))
    assert (done.width, done.height) == size
    height, width = done.picture.shape[:2]
    assert max(width, height) == min(1440, max(size))
    assert abs(width * size[1] - height * size[0]) <= max(size)
    for jpeg, edge in ((done.preview, 1440), (done.thumbnail, 320)):
        with Image.open(io.BytesIO(jpeg)) as image:
            assert max(image.size) == min(edge, max(size))


def test_the_picture_for_the_models_is_rgb() -> None:
    assert render(REFERENCE).picture[10, 10, 0] > 200


def test_a_photo_that_lost_its_end_is_shown_when_little_is_missing_and_refused_otherwise() -> None:
    whole = (Path(skimage.data.__file__).parent / "rocket.jpg").read_bytes()
    assert distance(render(whole[:-2]).thumbnail, render(whole).thumbnail) < SAME
    for content in (whole[: len(whole) // 2], whole[:600], saved(quarters(), "PNG")[:300], REFERENCE[:300]):
        with pytest.raises(RejectedError) as refusal:
            render(content)
        assert refusal.value.code == "truncated"


def test_pixels_are_counted_before_they_are_decoded() -> None:
    for form in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "AVIF"):
        with pytest.raises(RejectedError) as refusal:
            render(saved(quarters(), form), max_pixels=640 * 480 - 1)
        assert refusal.value.code == "too_many_pixels"
        render(saved(quarters(), form), max_pixels=640 * 480)


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "empty"), (b"hello", "unsupported_type"), (b"\xff\xd8\xff\xe0 no", "truncated"), (b"GIF89a", "undecodable")],
)
def test_what_is_no_picture_is_refused_by_name(content: bytes, code: str) -> None:
    with pytest.raises(RejectedError) as refusal:
        render(content)
    assert refusal.value.code == code


def test_an_orientation_is_found_however_its_writer_coded_it() -> None:
    plain = piexif.dump({"0th": {piexif.ImageIFD.Orientation: 6}})
    assert orientation(plain) == orientation(plain[6:]) == 6
    assert orientation(plain[:20]) == 1
    assert orientation(b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x04\x00\x01\x00\x00\x00\x08\x00\x00\x00") == 8
    assert orientation(b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x63\x00\x00\x00") == 1


@given(st.binary(max_size=64), st.sampled_from([b"", b"II*\x00\x08\x00\x00\x00", b"Exif\x00\x00MM\x00*"]))
def test_no_exif_upsets_the_reader(rest: bytes, start: bytes) -> None:
    assert orientation(start + rest) in range(1, 9)


SEEDS = [saved(quarters(160, 120), form) for form in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SEEDS), st.data())
def test_damage_gives_a_picture_or_a_typed_refusal(seed: bytes, data: st.DataObject) -> None:
    damaged = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(seed) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(len(seed) // 2, len(seed)))
    try:
        outcome = "shown" if render(bytes(damaged[:cut]), max_pixels=4_000_000).preview else "nothing"
    except RejectedError as error:
        outcome = error.code
    assert outcome in {"shown", "truncated", "undecodable", "too_many_pixels", "unsupported_type", "too_many_scans"}


def test_a_video_is_shown_by_a_frame_even_when_its_middle_is_not_here(shared: Path) -> None:
    for name in ("mp4.mp4", "quicktime.mov"):
        content = (shared / "photos/video" / name).read_bytes()
        whole = render(content)
        assert (whole.width, whole.height) == (560, 320)
        cut = len(content) * 2 // 3
        parts = decode(content[:cut], content[-60_000:], len(content), PixelBudget(10_000_000))
        assert (parts.width, parts.height) == (560, 320)


def test_the_placeholder_is_what_the_format_s_other_writers_make() -> None:
    """The expected value is from thumbhash-python 1.0.1, for the same pixels."""
    face = skimage.data.astronaut()[50:125, 180:280, ::-1]
    assert b64encode(thumbhash(face)).decode() == "YDkKDYIPamhheHlpmYd3ikp/2gJ4"
