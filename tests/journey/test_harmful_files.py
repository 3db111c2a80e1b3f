"""Files made to harm end as typed rejections, in time, and what comes beside them does not notice."""

import asyncio
import time
from collections.abc import AsyncIterator

import cv2
import numpy as np
import pytest
import pytest_asyncio
from support.harmful import Harm, exif_loop, harmful
from support.pictures import quarters, saved

from gallery.ml_worker.domain import Original
from gallery.ml_worker.errors import RejectedError
from gallery.ml_worker.media.renderer import TARGET, TIME_LIMIT, JailedRenderer
from gallery.runtime.jail import Jail
from gallery.runtime.limits import Limits

HARM = harmful()


@pytest_asyncio.fixture
async def renderer() -> AsyncIterator[JailedRenderer]:
    limits = Limits(memory=512 << 20, cpu=TIME_LIMIT, wall=TIME_LIMIT)
    async with Jail(children=2, target=TARGET, limits=limits) as jail:
        yield JailedRenderer(jail, max_pixels=200_000_000)


def whole(content: bytes) -> Original:
    return Original(len(content), content)


@pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.name)
async def test_each_is_rejected_by_its_name_within_ten_seconds(renderer: JailedRenderer, harm: Harm) -> None:
    good = whole(saved(quarters(), "JPEG"))
    await asyncio.gather(renderer.render(good), renderer.render(good))
    began = time.monotonic()
    with pytest.raises(RejectedError) as refusal:
        await renderer.render(whole(harm.content))
    assert time.monotonic() - began < TIME_LIMIT.total_seconds() + 1
    assert refusal.value.code in harm.codes
    assert (await renderer.render(good)).width == 640


def test_there_are_twenty_of_them() -> None:
    assert len(HARM) >= 20


async def test_a_photo_with_an_exif_loop_is_shown(renderer: JailedRenderer) -> None:
    assert (await renderer.render(whole(exif_loop()))).width == 640


@pytest.mark.parametrize(
    ("form", "size"),
    [("jpg", (12_000, 9_000)), ("png", (8_160, 6_120)), ("tiff", (8_160, 6_120)), ("webp", (6_000, 4_000))],
)
async def test_the_largest_photos_of_phones_pass_within_the_limits(
    renderer: JailedRenderer, form: str, size: tuple[int, int]
) -> None:
    picture = cv2.resize(np.asarray(quarters()), size)
    content = cv2.imencode(f".{form}", picture, [cv2.IMWRITE_WEBP_QUALITY, 80])[1].tobytes()
    rendering = await renderer.render(whole(content))
    assert (rendering.width, rendering.height) == size
