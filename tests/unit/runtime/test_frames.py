import json
import socket
import struct
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gallery.runtime import frames
from gallery.runtime.frames import FrameError, Receiver, send


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def raw(header: bytes, *lengths: int, blobs: bytes = b"") -> bytes:
    return struct.pack(f">II{len(lengths)}I", len(header), len(lengths), *lengths) + header + blobs


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.dictionaries(st.text(), JSON, max_size=4),
    blobs=st.lists(st.binary(max_size=300), max_size=6),
    reuse=st.booleans(),
)
def test_what_is_sent_is_received(
    ends: tuple[socket.socket, socket.socket], header: dict[str, object], blobs: list[bytes], *, reuse: bool
) -> None:
    ours, theirs = ends
    receiver = Receiver(theirs, reuse=reuse)
    for _ in range(2):
        send(ours, header, blobs)
        frame = receiver.receive()
        assert frame is not None
        assert frame[0] == header
        assert [bytes(blob) for blob in frame[1]] == blobs


def test_large_blobs_pass_in_pieces(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    picture = np.arange(9_000_000, dtype=np.uint32)
    sender = threading.Thread(target=send, args=(ours, {}, [picture, b"end"]))
    sender.start()
    frame = Receiver(theirs).receive()
    sender.join()
    assert frame is not None
    assert np.array_equal(np.frombuffer(frame[1][0], dtype=np.uint32), picture)
    assert bytes(frame[1][1]) == b"end"


def test_closing_between_frames_is_the_end(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    send(ours, {"last": True})
    ours.close()
    receiver = Receiver(theirs)
    assert receiver.receive() == ({"last": True}, [])
    assert receiver.receive() is None


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        (raw(b"{}", 10, blobs=b"abc"), "middle of a frame"),
        (raw(b"{}")[:5], "middle of a frame"),
        (raw(b"{nonsense"), "not JSON"),
        (raw(b"[" * 100_000), "not JSON"),
        (raw(b"\xff\xfe"), "not JSON"),
        (raw(b"[1]"), "not an object"),
        (struct.pack(">II", frames.HEADER_LIMIT + 1, 0), "over the limit"),
        (struct.pack(">II", 2, frames.BLOBS_LIMIT + 1), "over the limit"),
        (struct.pack(">II", 2, 2**32 - 1), "over the limit"),
        (raw(b"{}", 2**32 - 1), "over the limit"),
        (raw(b"{}", frames.TOTAL_LIMIT, 1), "over the limit"),
    ],
)
def test_what_is_no_frame_is_refused_before_memory_is_taken(
    ends: tuple[socket.socket, socket.socket], sent: bytes, complaint: str
) -> None:
    ours, theirs = ends
    ours.sendall(sent)
    ours.close()
    with pytest.raises(FrameError, match=complaint):
        Receiver(theirs).receive()


def test_a_frame_over_the_limit_is_not_sent(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    with pytest.raises(FrameError, match="over the limit"):
        send(ours, {}, [b""] * (frames.BLOBS_LIMIT + 1))
    send(ours, {"fine": 1})
    assert Receiver(theirs).receive() == ({"fine": 1}, [])


def test_the_layout_is_as_described(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    send(ours, {"a": 1}, [b"xyz"])
    assert theirs.recv(100) == raw(json.dumps({"a": 1}, separators=(",", ":")).encode(), 3, blobs=b"xyz")
