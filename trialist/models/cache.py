"""Replies on disk, to be read instead of computed again: by another trial, another process, the next run.

A hit or a miss is a whole chunk, the list of requests that a model is given at once. What a model computes may depend
in the last bits on what is computed beside it, so replies of single requests put together would give a run other bytes
with a cache than without; whole chunks give the same.

One file a chunk: ``<root>/<identity>/<xx>/<key>.chunk``, written beside its place and renamed. It begins with a
checksum over its key and its content; whatever doesn't match is a miss and is removed. Content is JSON, compressed:
a reply is text that a model wrote, so nothing that could run is ever read. A checksum is no signature: whoever may
write in the folder is believed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from trialist.models.protocol import Failure, Generate, Keyed, Reply, Request, Sample

VERSION = 1
MAX_BYTES = 2 * 1024**3
PUTS_PER_CHECK = 256
KEPT_SHARE = 0.9
"""What is left after old chunks were removed, as a share of the most that is allowed: room until the next check."""

DRAFT_SECONDS = 3600
"""A draft older than this was left by a process that was killed."""

_DIGEST_BYTES = 32
_CHUNK, _DRAFT = re.compile(r"[0-9a-f]{64}\.chunk"), re.compile(r"\.[0-9a-f]{64}\..*\.draft")


class ReplyCache:
    """Chunks of replies below ``root``, which is made when the first is put.

    ``identity`` names everything that the replies depend on besides the requests: the model's digest, dtype, engine
    and its version, threads, libraries. It is the caller's to make it complete.

    Nothing here raises for the disk's sake. Where a write is refused (full, read-only), nothing is put any more in this
    process and ``notice`` says so; what is there is still read.
    """

    def __init__(self, root: Path, max_bytes: int = MAX_BYTES) -> None:
        self.root = root
        self.max_bytes = max_bytes
        self.notice: str | None = None
        self._puts = 0

    def get(self, identity: str, requests: Sequence[Keyed[Request]]) -> list[Reply | Failure] | None:
        """The replies to these requests in their order, bit for bit as they were put; None where they aren't there."""
        key = chunk_key(identity, requests)
        if key is None:
            return None
        path = self._path(identity, key)
        try:
            replies = _unpacked(key, path.read_bytes(), len(requests))
        except OSError:
            return None
        with contextlib.suppress(OSError):
            if replies is None:
                path.unlink()
            else:
                os.utime(path)  # what is read stays, what is not goes first
        return replies

    def put(self, identity: str, requests: Sequence[Keyed[Request]], replies: Sequence[Reply | Failure]) -> None:
        """Keep a chunk's replies, failures among them: don't put a chunk in which one failed by accident, such as for
        want of memory. Chunks with activations are left out, being too large.

        Raises:
            ValueError: there isn't one reply to each request.
        """
        if len(replies) != len(requests):
            raise ValueError(f"{len(replies)} replies to {len(requests)} requests")
        key = chunk_key(identity, requests)
        if self.notice or key is None or any(isinstance(reply, Reply) and reply.activations for reply in replies):
            return
        try:
            _write_whole(self._path(identity, key), _packed(key, replies))
            if self._puts % PUTS_PER_CHECK == 0:
                self._make_room()
        except OSError as error:
            self.notice = f"replies are no longer kept in {self.root}: {error.strerror or error}"
        self._puts += 1

    def num_bytes(self) -> int:
        """What the chunks hold on the disk."""
        return sum(size for _, size, _ in _files(self.root))

    def _path(self, identity: str, key: str) -> Path:
        return self.root / _sha256(identity.encode(errors="surrogatepass"))[:16] / key[:2] / f"{key}.chunk"

    def _make_room(self) -> None:
        """Where the chunks hold more than ``max_bytes``, remove those that were not used for longest."""
        found = sorted(_files(self.root))
        total = sum(size for _, size, _ in found)
        if total <= self.max_bytes:
            return
        for _, size, path in found:
            if total <= KEPT_SHARE * self.max_bytes:
                return
            with contextlib.suppress(OSError):  # another process may have removed it
                path.unlink()
            total -= size


def default_cache(environment: Mapping[str, str] = os.environ) -> ReplyCache | None:
    """The cache that the environment names: ``TRIALIST_CACHE`` is a folder, or ``off`` for none; else it lies in the
    user's cache folder (``XDG_CACHE_HOME``, else ``~/.cache``). None too where there is no home folder."""
    named = environment.get("TRIALIST_CACHE", "")
    if named.strip().lower() == "off":
        return None
    try:
        if named:
            return ReplyCache(Path(named).expanduser().absolute())
        base = Path(environment.get("XDG_CACHE_HOME", ""))
        home = base if base.is_absolute() else Path("~/.cache").expanduser()
    except RuntimeError:  # no home folder is known
        return None
    return ReplyCache(home / "trialist" / "replies")


def chunk_key(identity: str, requests: Sequence[Keyed[Request]]) -> str | None:
    """sha256 over this format's version, the identity, and each request's type, content and, where it draws, seed, in
    their order. Neither the requests' own keys matter nor the seed of what doesn't draw. None where a request holds
    something that JSON can't tell apart: it has no key, so it is never kept."""
    rows = [[type(r.value).__name__, vars(r.value), r.seed if _draws(r.value) else None] for r in requests]
    try:
        return _sha256(_json([VERSION, identity, rows]))
    except (TypeError, ValueError, RecursionError):
        return None


def _draws(request: Request) -> bool:
    return isinstance(request, Generate) and request.temperature != 0


# --- content of a file ---------------------------------------------------------------------------------------


def _packed(key: str, replies: Sequence[Reply | Failure]) -> bytes:
    content = zlib.compress(_json([_plain(reply) for reply in replies]), level=1)
    return _checksum(key, content) + content


def _unpacked(key: str, data: bytes, count: int) -> list[Reply | Failure] | None:
    """None for anything but what ``_packed`` made of ``count`` replies for this key."""
    content = data[_DIGEST_BYTES:]
    if data[:_DIGEST_BYTES] != _checksum(key, content):
        return None
    try:
        replies = [_reply(row) for row in json.loads(zlib.decompress(content))]
    except (ValueError, TypeError, AttributeError, RecursionError, zlib.error):
        return None
    return replies if len(replies) == count else None


def _checksum(key: str, content: bytes) -> bytes:
    return hashlib.sha256(key.encode() + content).digest()


def _plain(reply: Reply | Failure) -> str | dict[str, Any]:
    """A failure is its reason, a reply its fields that aren't empty."""
    if isinstance(reply, Failure):
        return reply.reason
    fields = {name: value for name, value in vars(reply).items() if value}
    return {**fields, "samples": [vars(sample) for sample in reply.samples]} if reply.samples else fields


def _reply(row: Any) -> Reply | Failure:
    if isinstance(row, str):
        return Failure(row)
    fields = _tuples(row)
    if "samples" in fields:
        fields["samples"] = tuple(Sample(**_tuples(sample)) for sample in fields["samples"])
    return Reply(**fields)


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(cast("list[Any]", v)) if isinstance(v, list) else v for name, v in fields.items()}


def _json(value: Any) -> bytes:
    """Unequal values give unequal bytes, in both directions: floats as the shortest text that reads as the same float,
    infinities as words, lone surrogates as they are (escaped, two of them would read as one character)."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# --- files ---------------------------------------------------------------------------------------------------


def _write_whole(path: Path, data: bytes) -> None:
    """The whole file or none. Two processes may write one chunk: each has a draft of its own, the last one stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.stem}.{secrets.token_hex(8)}.draft")
    try:
        with draft.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _files(root: Path) -> Iterator[tuple[float, int, Path]]:
    """When last used, size in bytes and path of each chunk. Removes drafts that were left; sees no other file."""
    oldest = time.time() - DRAFT_SECONDS
    for folder in root.glob("[0-9a-f]" * 16 + "/[0-9a-f][0-9a-f]"):
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if not entry.is_file(follow_symlinks=False):
                    continue
                if _CHUNK.fullmatch(entry.name):
                    status = entry.stat()
                    yield status.st_mtime, status.st_size, Path(entry.path)
                elif _DRAFT.fullmatch(entry.name) and entry.stat().st_mtime < oldest:
                    os.unlink(entry.path)
