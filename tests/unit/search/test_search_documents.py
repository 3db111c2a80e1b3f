"""What becomes findable of a photo."""

from datetime import datetime
from typing import Any
from uuid import UUID

from gallery.search.analyser import Analyser
from gallery.search.documents import MOST_TERMS, Composer
from gallery.search.domain import Composed
from gallery.search.facts import AnalysisFacts, PhotoFacts

COMPOSER = Composer(Analyser("english"))
ANNA, BEN = UUID(int=1), UUID(int=2)


def compose(tags: list[tuple[str, float]] | None = None, **facts: Any) -> Composed:
    plain = {
        "id": UUID(int=9),
        "revision": 4,
        "file": "a.jpg",
        "media_type": "image/jpeg",
        "uploaded_at": "2025-01-01T10:00:00Z",
        "taken_at": "2024-05-01T12:00:00",
    }
    photo = PhotoFacts.model_validate(plain | facts)
    analysis = {"id": photo.id, "tags": [{"label": label, "score": score} for label, score in tags or []]}
    return COMPOSER.compose(photo, AnalysisFacts.model_validate(analysis), library_id=UUID(int=5), revision=7)


def test_has_its_own_revision_and_that_of_the_catalogue() -> None:
    composed = compose()
    assert (composed.document.revision, composed.catalogue_revision) == (7, 4)


def test_a_path_is_found_by_words_and_by_whole_names() -> None:
    terms = compose(file="Holiday 2024/IMG_1.JPG").document.terms
    assert {"file:holiday", "file:holiday_2024", "file:img", "file:1", "file:img_1", "file:img_1_jpg"} <= terms


def test_a_term_of_two_labels_has_the_better_score() -> None:
    composed = compose([("Golden Retrievers", 0.4), ("golden gate", 0.9)])
    assert composed.document.tag_scores["tag:golden"] == 0.9
    assert composed.document.tag_scores["tag:retriev"] == 0.4
    assert {"tag:retrievers", "tag:gate"} <= composed.document.terms
    assert composed.labels == ("Golden Retrievers", "golden gate")


def test_only_assigned_faces_name_people_and_ignored_ones_do_not_count() -> None:
    faces = [
        {"person_id": str(ANNA), "state": "assigned"},
        {"person_id": str(BEN), "state": "suggested"},
        {"person_id": None, "state": "unassigned"},
        {"person_id": None, "state": "ignored"},
    ]
    document = compose(faces=faces).document
    assert document.person_ids == {ANNA}
    assert (document.faces, document.unresolved_faces) == (3, 2)


def test_camera_place_kind_and_position() -> None:
    document = compose(
        camera="Google Pixel 8",
        place={"city": "Zürich", "region": None, "country": "Switzerland", "country_code": "CH"},
        gps={"latitude": 47.4, "longitude": 8.5, "altitude": 400},
        media_type="video/mp4",
    ).document
    assert {"camera:pixel", "place:zurich", "place:switzerland", "place:ch", "type:video"} <= document.terms
    assert document.position == (47.4, 8.5)


def test_time_is_the_cameras_clock() -> None:
    local = datetime(2024, 5, 1, 12)  # noqa: DTZ001 - the camera's clock has no zone
    assert compose().document.taken_at == local
    assert compose(taken_at="2024-05-01T12:00:00+02:00").document.taken_at == local
    assert compose(taken_at="2024-05-01T10:00:00Z", offset_minutes=120).document.taken_at == local
    assert compose(taken_at=None).document.taken_at == datetime(2025, 1, 1, 10)  # noqa: DTZ001 - as above


def test_a_path_made_to_harm_stays_small() -> None:
    assert len(compose(file="/".join(f"x{number}y" for number in range(5000))).document.terms) <= MOST_TERMS
