"""The catalogue files, the types in code and the contracts say the same."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gallery.events.topics import CATALOGUE, TYPES, Topic
from gallery.events.v1 import analysis_pb2, catalogue_pb2, search_pb2, uploads_pb2

PROTO = Path(__file__).resolve().parents[2] / "proto"
SERVICES = {"upload", "metadata", "ml-worker", "search", "gateway"}
NESTED = {"StageOutcome", "FaceProposal"}


def entry(topic: Topic) -> dict[str, Any]:
    content = yaml.safe_load((PROTO / "topics" / f"{topic}.yaml").read_text())
    assert isinstance(content, dict)
    return content


def test_each_topic_has_its_file_and_each_file_its_topic() -> None:
    assert {path.stem for path in (PROTO / "topics").glob("*.yaml")} == {str(topic) for topic in Topic}


@pytest.mark.parametrize("topic", Topic)
def test_a_topic_carries_the_types_it_names(topic: Topic) -> None:
    assert entry(topic)["types"] == [body.DESCRIPTOR.full_name for body in TYPES[topic]]


@pytest.mark.parametrize("topic", Topic)
def test_a_topic_names_services_that_exist(topic: Topic) -> None:
    content = entry(topic)
    assert content["producer"] == CATALOGUE[topic].producer
    assert tuple(content["consumers"]) == CATALOGUE[topic].consumers
    assert {content["producer"], *content["consumers"]} <= SERVICES


@pytest.mark.parametrize("topic", Topic)
def test_a_topic_says_how_it_is_kept(topic: Topic) -> None:
    content = entry(topic)
    assert content["partitions"] == CATALOGUE[topic].partitions > 1
    assert content["retention"] == f"{CATALOGUE[topic].retention.days} days"
    assert content["dead_letters"] == "the table of that name in each consumer's schema"


def test_every_message_of_the_contracts_is_in_one_topic() -> None:
    files = [analysis_pb2, catalogue_pb2, search_pb2, uploads_pb2]
    declared = {name for file in files for name in file.DESCRIPTOR.message_types_by_name} - NESTED
    carried = [body.DESCRIPTOR.name for bodies in TYPES.values() for body in bodies]
    assert sorted(carried) == sorted(declared)
