"""What becomes of a store's answers that no real store gives on demand."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr
from support.blobs import content_of, keys_of, pieces

from gallery.adapters import s3_bucket as s3
from gallery.adapters import s3_reading
from gallery.adapters.profile import Profile
from gallery.adapters.s3_blobs import S3Blobs
from gallery.adapters.s3_bucket import S3AwayError, S3Bucket, S3RefusedError
from gallery.adapters.s3_settings import S3Settings
from gallery.ports.blobs import BlobNotFoundError, BlobStoreFullError, BlobStoreUnavailableError
from gallery.runtime.retry import RetryPolicy, Verdict, is_transient
from gallery.runtime.settings import describe, load

CUT_HEADERS = b"HTTP/1.1 200 OK\r\nServer: store\r\n"


class Store(ThreadingHTTPServer):
    """Gives the answers of a script, and says yes to everything when that is over."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.script: list[tuple[int, str] | bytes] = []
        self.asked = 0


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Store

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None: ...

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked += 1
        answer = self.server.script.pop(0) if self.server.script else (200, "")
        if isinstance(answer, bytes):
            self.wfile.write(answer)
            self.close_connection = True
        else:
            self._send(*answer)

    def _send(self, status: int, code: str) -> None:
        body = f"<Error><Code>{code}</Code></Error>".encode() if code and self.command != "HEAD" else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def store() -> Iterator[Store]:
    with Store() as store:
        serving = threading.Thread(target=store.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield store
        store.shutdown()
        serving.join()


@pytest.fixture
def blobs(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Blobs]:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    settings = S3Settings(
        s3_endpoint=f"http://127.0.0.1:{store.server_port}", s3_key_id="me", s3_secret=SecretStr("mine")
    )
    with closing(S3Bucket(settings)) as bucket:
        yield S3Blobs(bucket)


@pytest.mark.parametrize(
    "passing", [(503, "SlowDown"), (500, "InternalError"), (429, ""), (400, "RequestTimeout"), (400, "BadDigest")]
)
async def test_what_passes_is_waited_out_and_otherwise_said(
    store: Store, blobs: S3Blobs, passing: tuple[int, str]
) -> None:
    store.script = [passing] * 3
    await blobs.put("a", pieces(b"photo"))
    assert store.asked == 4
    store.script = [passing] * 4
    with pytest.raises(S3AwayError) as caught:
        await blobs.put("a", pieces(b"photo"))
    assert store.asked == 8
    assert is_transient(caught.value)


async def test_reading_gives_up_when_nothing_comes(
    store: Store, blobs: S3Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_reading, "_PAUSES", RetryPolicy(first_pause=timedelta(0)))
    store.script = [(503, "SlowDown")] * 1000
    async with asyncio.timeout(30):
        with pytest.raises(S3AwayError):
            await content_of(blobs, "a")
    assert store.asked == 20, "five times, in each of which four requests"


@pytest.mark.parametrize("full", [(507, "InsufficientStorage"), (403, "QuotaExceeded"), (507, "XMinioStorageFull")])
async def test_no_room_is_said_at_once(store: Store, blobs: S3Blobs, full: tuple[int, str]) -> None:
    store.script = [full]
    with pytest.raises(BlobStoreFullError):
        await blobs.put("a", pieces(b"photo"))
    assert store.asked == 1


async def test_a_refusal_is_final_and_names_its_code(store: Store, blobs: S3Blobs) -> None:
    store.script = [(400, "InvalidArgument")]
    with pytest.raises(S3RefusedError, match="InvalidArgument") as caught:
        await blobs.put("a", pieces(b"photo"))
    assert (caught.value.code, store.asked, is_transient(caught.value)) == ("InvalidArgument", 1, False)


@pytest.mark.parametrize("code", ["NoSuchBucket", "SignatureDoesNotMatch", "ExpiredToken", "AccessDenied"])
async def test_a_store_that_is_shut_is_waited_for_by_those_who_can(store: Store, blobs: S3Blobs, code: str) -> None:
    store.script = [(404 if code == "NoSuchBucket" else 403, code)]
    with pytest.raises(BlobStoreUnavailableError, match=code) as caught:
        await blobs.put("a", pieces(b"photo"))
    assert store.asked == 1
    assert RetryPolicy().decide(caught.value, attempt=1000) is Verdict.AGAIN


async def test_what_is_not_there_is_so_at_once(store: Store, blobs: S3Blobs) -> None:
    store.script = [(404, "")]
    with pytest.raises(BlobNotFoundError):
        await blobs.stat("a")
    assert store.asked == 1


async def test_an_answer_cut_in_its_headers_is_not_an_empty_listing(store: Store, blobs: S3Blobs) -> None:
    store.script = [CUT_HEADERS]
    assert await keys_of(blobs) == []
    assert store.asked == 2
    store.script = [CUT_HEADERS] * 4
    with pytest.raises(S3AwayError):
        await keys_of(blobs)


async def test_a_store_that_cannot_be_reached_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_ATTEMPTS", 1)
    settings = S3Settings(s3_endpoint="http://127.0.0.1:1", s3_key_id="me", s3_secret=SecretStr("mine"))
    with closing(S3Bucket(settings)) as bucket, pytest.raises(S3AwayError):
        await S3Blobs(bucket).stat("a")


def test_settings_come_from_a_file_and_keep_their_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "distributed.toml"
    file.write_text('s3_endpoint = "https://s3.example.org"\ns3_bucket = "photos"\ns3_path_style = false\n')
    monkeypatch.setenv("GALLERY_S3_KEY_ID", "me")
    monkeypatch.setenv("GALLERY_S3_SECRET", "hidden words")
    settings = load(S3Settings, file=file)
    shown = {setting.name: (setting.value, setting.source) for setting in describe(settings)}
    assert shown == {
        "s3_endpoint": ("https://s3.example.org", "file"),
        "s3_public_endpoint": ("", "default"),
        "s3_ca": ("", "default"),
        "s3_region": ("us-east-1", "default"),
        "s3_bucket": ("photos", "file"),
        "s3_key_id": ("me", "environment"),
        "s3_secret": ("********", "environment"),
        "s3_path_style": ("False", "file"),
    }
    assert settings.s3_secret is not None
    assert settings.s3_secret.get_secret_value() == "hidden words"


@pytest.mark.parametrize(
    ("choices", "offered"),
    [
        ({"blobs": "local"}, False),
        ({"blobs": "s3", "s3_endpoint": "http://s3:7070"}, False),
        ({"blobs": "s3", "s3_endpoint": "http://s3:7070", "s3_public_endpoint": "https://s3.example.org"}, True),
        ({"blobs": "s3"}, True),  # AWS
    ],
)
async def test_clients_send_only_to_a_store_within_their_reach(
    monkeypatch: pytest.MonkeyPatch, choices: dict[str, str], *, offered: bool
) -> None:
    for name, value in choices.items():
        monkeypatch.setenv(f"GALLERY_{name.upper()}", value)
    async with Profile.read().direct_uploads() as store:
        assert (store is not None) == offered
