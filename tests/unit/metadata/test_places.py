from typing import Any

import pytest

from gallery.metadata.domain import Gps
from gallery.metadata.places import Places


@pytest.fixture(scope="module")
def places() -> Any:
    return Places()


@pytest.mark.parametrize(
    ("latitude", "longitude", "city", "region", "country"),
    [
        (43.4674, 11.8851, "Arezzo", None, "Italy"),
        (39.0513, -94.2888, "Blue Springs", "Missouri", "United States"),
        (-21.1332, 55.4768, "Cilaos", None, "Reunion"),
        (64.8, -18.9, None, None, "Iceland"),
    ],
)
def test_positions_have_names(places: Any, latitude: Any, longitude: Any, city: Any, region: Any, country: Any) -> None:
    place = places.name(Gps(latitude, longitude))
    assert (place.city, place.region, place.country) == (city, region, country)


def test_the_open_sea_has_none(places: Any) -> None:
    assert places.name(Gps(0.5, -30.0)) is None


def test_the_date_line_is_no_border(places: Any) -> None:
    east, west = places.name(Gps(-16.8, 179.99)), places.name(Gps(-16.8, -179.99))
    assert east == west
