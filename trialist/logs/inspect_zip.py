"""The members of an Inspect ``.eval`` file: a zip whose members are zstd (type 93), deflate or stored.

Python before 3.14 can't open such members, and its list of 200,000 of them takes longer and more memory than need be:
the directory is read here. A file without it (cut off, or half copied) is scanned for the headers that stand before
each member.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import zstandard

from trialist.errors import DataError

STORED, DEFLATE, ZSTD = 0, 8, 93
BLOCK = 1 << 20
PACKED_BLOCK = 1 << 14
"""Small, as a hundred times as much may come out of it."""
AT_ONCE = 64 << 20
"""Members up to this size are unpacked in one call, larger ones by blocks."""
LOCAL, DESCRIPTOR = b"PK\x03\x04", b"PK\x07\x08"
DIRECTORY = b"PK\x01\x02"
DIRECTORY_HEADER = struct.Struct("<10xH4x3I3H8xI")
LOCAL_HEADER = struct.Struct("<4s5H3I2H")
SHORT = 4 << 20
"""Members from this size on are unpacked twice to be checked, and never held whole."""
LONGEST_END = 22 + 20 + 56 + 0xFFFF
"""The records at the end of a zip: of all members, where the longer one stands, the longer one, a comment."""
STREAMED = 8
"""Flag bit: the sizes stand after the data and not before it."""
REPLACED_BY_A_START = ("header.json", "summaries.json", "reductions.json")
START = "_journal/start.json"


class Damaged(ValueError):
    """Something in a log that can't be read; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Member:
    """``offset`` is where the local header stands. ``size`` and ``crc`` are None where they aren't known."""

    offset: int
    packed: int
    method: int
    size: int | None
    crc: int | None


@dataclass
class Archive:
    """``replaced``: names that a later member of the same name replaced; ``losses``: (name, what)."""

    path: Path
    members: dict[str, Member] = field(default_factory=dict[str, Member])
    replaced: list[str] = field(default_factory=list[str])
    losses: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    _file: IO[bytes] | None = None
    _zstd: zstandard.ZstdDecompressor = field(default_factory=zstandard.ZstdDecompressor)

    def read(self, name: str) -> bytes:
        """A member's bytes. Raises Damaged."""
        member = self.members[name]
        if member.method == ZSTD and member.size is not None and member.size <= AT_ONCE:
            packed = b"".join(self._packed(member))
            try:
                data = self._zstd.decompress(packed, max_output_size=max(member.size, 1))
            except zstandard.ZstdError:
                data = b""
            if len(data) == member.size and zlib.crc32(data) == member.crc:
                return data
        return b"".join(self.blocks(name))

    def checked(self, name: str) -> Iterable[bytes]:
        """A member's bytes in blocks, of which none is damaged: a large member is unpacked twice. Raises Damaged."""
        if (self.members[name].size or SHORT) < SHORT:
            return [self.read(name)]
        for _ in self.blocks(name):
            pass
        return self.blocks(name)

    def blocks(self, name: str) -> Iterator[bytes]:
        """A member's bytes in blocks; raises Damaged after the last that is good."""
        member = self.members[name]
        size, crc = 0, 0
        for block in _unpacked(member.method, self._packed(member)):
            size, crc = size + len(block), zlib.crc32(block, crc)
            if member.size is not None and size > member.size:
                raise Damaged("is longer than it says")
            yield block
        if member.size is not None and size < member.size:
            raise Damaged("is cut off")
        if member.crc is not None and crc != member.crc:
            raise Damaged("has a wrong checksum")

    def _packed(self, member: Member) -> Iterator[bytes]:
        if self._file is None:
            self._file = self.path.open("rb")
        self._file.seek(member.offset)
        header = self._file.read(LOCAL_HEADER.size)
        if len(header) < LOCAL_HEADER.size or not header.startswith(LOCAL):
            raise Damaged("isn't where the directory says")
        name_size, extra_size = LOCAL_HEADER.unpack(header)[-2:]
        at, left = member.offset + LOCAL_HEADER.size + name_size + extra_size, member.packed
        while left:
            self._file.seek(at)
            block = self._file.read(min(left, PACKED_BLOCK))
            if not block:
                raise Damaged("is cut off")
            at, left = at + len(block), left - len(block)
            yield block

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _unpacked(method: int, packed: Iterable[bytes]) -> Iterator[bytes]:
    if method == STORED:
        yield from packed
        return
    if method not in (DEFLATE, ZSTD):
        raise Damaged(f"is packed by method {method} (known: stored 0, deflate 8, zstd 93)")
    unpack = _unpacker(method)
    try:
        for block in packed:
            while block:
                if unpack.eof:  # a member may be of several zstd frames
                    unpack = _unpacker(method)
                yield unpack.decompress(block)
                block = unpack.unused_data if unpack.eof else b""
    except (zstandard.ZstdError, zlib.error) as error:
        raise Damaged("can't be unpacked") from error
    if not unpack.eof:
        raise Damaged("is cut off")


def _unpacker(method: int) -> zlib._Decompress | zstandard.ZstdDecompressionObj:  # pyright: ignore[reportPrivateUsage]
    return zlib.decompressobj(-15) if method == DEFLATE else zstandard.ZstdDecompressor().decompressobj()


def open_archive(path: Path) -> Archive:
    """The members that the directory lists, or those that a scan finds. Raises DataError for a file of which no member
    can be found."""
    archive = Archive(path)
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LONGEST_END))
            is_listed = _list(archive, file, file.read())
        if not is_listed:
            _scan(archive)
    except OSError as error:
        raise DataError(f"{path} can't be read", seen=str(error), next_step="check the path") from error
    if not archive.members:
        raise DataError(
            f"{path}: nothing in it can be read", seen=f"{size} bytes without a member of a zip",
            allowed="an Inspect log (.eval)", next_step="copy it again from where it was written",
        )  # fmt: skip
    return archive


def _list(archive: Archive, file: IO[bytes], end: bytes) -> bool:
    """Members by the directory, whose place stands at the ``end``; False where it isn't as it should be."""
    at, long = end.rfind(b"PK\x05\x06"), end.rfind(b"PK\x06\x06")
    if at < 0 or len(end) < at + 22:
        return False
    count, size, start = struct.unpack_from("<HII", end, at + 10)
    if long >= 0 and (count == 0xFFFF or start == 0xFFFFFFFF):
        count, size, start = struct.unpack_from("<3Q", end, long + 32)
    file.seek(min(start, 1 << 62))
    directory = file.read(min(size, 1 << 40))
    at = 0
    for _ in range(count):
        if directory[at : at + 4] != DIRECTORY or len(directory) < at + DIRECTORY_HEADER.size:
            return False
        fields = DIRECTORY_HEADER.unpack_from(directory, at)
        method, crc, packed, size, name_size, extra_size, comment_size, offset = fields
        at += DIRECTORY_HEADER.size
        name = directory[at : at + name_size].decode("utf-8", "backslashreplace")
        at += name_size + extra_size
        if 0xFFFFFFFF in (packed, size, offset):
            size, packed, offset = _long_sizes(directory[at - extra_size : at], size, packed, offset)
        at += comment_size
        _add(archive, name, Member(offset, packed, method, size, crc))
    return at == len(directory)


def _add(archive: Archive, name: str, member: Member) -> None:
    if name in archive.members:
        archive.replaced.append(name)
    archive.members[name] = member


def _scan(archive: Archive) -> None:
    """Members by their own headers, until the directory or the end of the file."""
    archive.members.clear()
    archive.replaced.clear()
    size = archive.path.stat().st_size
    archive.losses.append(("", f"has no good directory (cut off after {size} bytes?): its members were looked for"))
    if not size:
        return
    with archive.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = 0
        while at < size and not data[at : at + 4].startswith((DIRECTORY, b"PK\x05\x06", b"PK\x06\x06")):
            found = _local(data, at)
            if found is None:
                start, at = at, data.find(LOCAL, at + 1)
                at = size if at < 0 else at
                archive.losses.append(("", f"bytes {start} to {at} can't be read"))
                continue
            name, member, end = found
            if end > size:
                archive.losses.append((name, "is cut off"))
                return
            if name == START:  # a retry begins with the file of the attempt before it
                for old in REPLACED_BY_A_START:
                    archive.members.pop(old, None)
            _add(archive, name, member)
            at = end


def _local(data: mmap.mmap, at: int) -> tuple[str, Member, int] | None:
    """The member whose header stands at a place, and where it ends; None where there is no header."""
    head = data[at : at + LOCAL_HEADER.size]
    if not head.startswith(LOCAL):
        return None
    if len(head) < LOCAL_HEADER.size:
        return "", Member(at, 0, STORED, None, None), len(data) + 1
    _, _, flags, method, _, _, crc, packed, size, name_size, extra_size = LOCAL_HEADER.unpack(head)
    start = at + LOCAL_HEADER.size + name_size + extra_size
    name = data[at + LOCAL_HEADER.size : start - extra_size].decode("utf-8", "backslashreplace")
    if start > len(data):
        return name, Member(at, 0, method, None, None), len(data) + 1
    if method not in (STORED, DEFLATE, ZSTD) or not name.endswith(".json"):
        return None
    size, packed, _ = _long_sizes(data[start - extra_size : start], size, packed, 0)
    if flags & STREAMED:
        end = data.find(DESCRIPTOR, start)
        if end < 0:
            return name, Member(at, 0, method, None, None), len(data) + 1
        known = (LOCAL, DIRECTORY, b"")  # another member, the directory, the end
        after = next((end + size for size in (16, 24) if data[end + size : end + size + 4] in known), end + 16)
        return name, Member(at, end - start, method, None, None), after
    return name, Member(at, packed, method, size, crc), start + packed


def _long_sizes(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Numbers of 4 GB and more stand in the extra field of kind 1, those that are needed, in this order."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            long = [number for (number,) in struct.iter_unpack("<Q", extra[at + 4 : at + 4 + length // 8 * 8])]
            found = [long.pop(0) if n == 0xFFFFFFFF and long else n for n in (size, packed, offset)]
            return found[0], found[1], found[2]
        at += 4 + length
    return size, packed, offset
