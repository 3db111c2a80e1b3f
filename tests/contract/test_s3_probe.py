"""What the doctor finds out about a store."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import pytest
from support.engines.versitygw import Versitygw

from gallery.adapters.findings import Finding
from gallery.adapters.s3_bucket import S3Bucket
from gallery.adapters.s3_probe import Ability, probe, reach

pytestmark = pytest.mark.engine


def lacking(found: list[Finding]) -> set[str]:
    return {finding.check for finding in found if not finding.ok}


async def test_versitygw_has_all_that_is_needed(s3_bucket: S3Bucket, versitygw: Versitygw) -> None:
    found = await probe(s3_bucket)
    assert [finding.check for finding in found] == list(Ability)
    assert lacking(found) == {Ability.ANSWERS_BROWSERS}
    assert [finding.check for finding in found if not finding.needed] == [
        Ability.LISTS_UPLOADS,
        Ability.KEEPS_FIRST,
        Ability.ANSWERS_BROWSERS,
    ]
    assert [path for path in (versitygw.data / s3_bucket.name).rglob("*") if path.is_file()] == []


async def test_cors_rules_are_found(s3_bucket: S3Bucket) -> None:
    rules = {"CORSRules": [{"AllowedMethods": ["PUT"], "AllowedOrigins": ["https://gallery.example.org"]}]}
    await s3_bucket.ask("put_bucket_cors", CORSConfiguration=rules)
    assert lacking(await probe(s3_bucket)) == set()


@pytest.fixture
def deaf_bucket(s3_bucket: S3Bucket, request: pytest.FixtureRequest) -> Iterator[S3Bucket]:
    """Give a bucket of a store that does not hear some headers."""

    def forget(*, request: Any, **_: Any) -> None:
        for name in unheard:
            del request.headers[name]

    unheard = request.param
    clients = [s3_bucket._client, s3_bucket._patient]
    for client in clients:
        client.meta.events.register("before-sign.s3", forget)
    yield s3_bucket
    for client in clients:
        client.meta.events.unregister("before-sign.s3", forget)


@pytest.mark.parametrize(
    ("deaf_bucket", "missing"),
    [
        (["x-amz-checksum-sha256", "x-amz-checksum-algorithm"], {Ability.CHECKS_OBJECTS, Ability.CHECKS_PARTS}),
        (["If-None-Match"], {Ability.KEEPS_FIRST}),
        (["x-amz-copy-source-range", "x-amz-copy-source"], {Ability.COMPOSES}),
    ],
    indirect=["deaf_bucket"],
)
async def test_what_a_store_lacks_is_named_with_advice(deaf_bucket: S3Bucket, missing: set[Ability]) -> None:
    found = await probe(deaf_bucket)
    assert lacking(found) == missing | {Ability.ANSWERS_BROWSERS}
    assert all(finding.ok or (finding.found != "yes" and finding.advice) for finding in found)


@pytest.mark.parametrize("deaf_bucket", [["x-amz-meta-sha256"]], indirect=True)
async def test_a_store_that_does_not_keep_is_asked_no_more(deaf_bucket: S3Bucket) -> None:
    (found,) = await probe(deaf_bucket)
    assert (found.check, found.ok) == (Ability.KEEPS, False)


async def test_a_store_that_lists_no_uploads(s3_bucket: S3Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    async def empty_pages(*_: str, **__: str) -> AsyncIterator[dict[str, Any]]:
        yield {"Uploads": []}

    monkeypatch.setattr(s3_bucket, "pages", empty_pages)
    assert Ability.LISTS_UPLOADS in lacking(await probe(s3_bucket))


async def test_without_its_bucket_nothing_else_is_asked(versitygw: Versitygw) -> None:
    settings = versitygw.settings().model_copy(update={"s3_bucket": "another"})
    with closing(S3Bucket(settings)) as bucket:
        (found,) = await probe(bucket)
        there = await reach(bucket)
    assert (found.check, found.ok, found.needed) == (Ability.KEEPS, False, True)
    for each in (found, there):
        assert "NoSuchBucket" in each.found
        assert "GALLERY_S3_ENDPOINT" in each.advice
