"""Reading Inspect logs: a summary beside Inspect's own ``samples_df``, and a large log in full.

    python benchmarks/logs.py [--samples 3000] [--large 200000] [--rounds 5] [--json]

The first log is a real evaluation with a scripted model. Both sides read the same file from its path to a table, in one
process; CPU time of all its threads, in rounds that alternate who comes first. Imports and a first round are not
counted, and both have to find the same accuracy. The large log is one real sample again and again under new ids and
texts, written as Inspect writes them (zstd members, summaries, header); a fresh process without Inspect reads it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import polars as pl
import zstandard

import trialist
from trialist.logs import inspect_log
from trialist.logs.inspect_zip import open_archive

LIMIT_RATIO = 5.0
LIMIT_BYTES = 1_000_000_000
WORDS = ("red", "green", "blue", "amber")
CHILD = """
import json, sys, time
from pathlib import Path
from trialist.logs import inspect_log
started = time.perf_counter()
(log,) = inspect_log.read(Path(sys.argv[1]), full=sys.argv[2] == "full")
seconds = time.perf_counter() - started
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
assert "inspect_ai" not in sys.modules and not log.losses
scored = int(log.scores["value"].is_not_null().sum())
print(json.dumps({"seconds": seconds, "peak": peak * 1024, "rows": len(log.answers), "scored": scored}))
"""


def evaluate(place: Path, count: int) -> Path:
    """A log of Inspect's own making."""
    from inspect_ai import Task
    from inspect_ai import eval as run
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.scorer import match

    def answer(messages: Any, *_: Any) -> Any:
        number = int(messages[-1].text.split()[-1])
        # A usage of its own keeps the mock model from counting tokens with a file from the network.
        usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        text = WORDS[number % 4] if number % 3 else "no idea"
        return ModelOutput.from_content("mockllm/model", text).model_copy(update={"usage": usage})

    about = 3 * "Some words that make a question as long as questions are, so that there is something to read. "
    listed = [
        Sample(id=f"q{i}", input=f"{about}What is the colour of thing {i}", target=WORDS[i % 4], metadata={"k": i % 9})
        for i in range(count)
    ]
    model = get_model("mockllm/model", custom_outputs=answer)
    options: dict[str, Any] = {"display": "none", "log_realtime": False, "log_dir": str(place)}
    return Path(run(Task(MemoryDataset(listed), scorer=match(), name="colours"), model=model, **options)[0].location)


def summary_row(path: Path, rounds: int) -> dict[str, Any]:
    from inspect_ai.analysis import samples_df

    def ours() -> float:
        (log,) = inspect_log.read(path)
        assert isinstance(log.scores, pl.DataFrame)
        return float((log.scores["value"] == 1).mean())  # type: ignore[arg-type]

    def theirs() -> float:
        return float((samples_df(str(path), quiet=True)["score_match"] == "C").mean())

    seconds: dict[str, list[float]] = {"ours": [], "peer": []}
    for number in range(rounds + 1):  # the first round warms up
        found: set[float] = set()
        for side in ("ours", "peer") if number % 2 else ("peer", "ours"):
            gc.collect()  # what the other side left is not this one's to clear
            started = time.process_time()
            found.add(round((ours if side == "ours" else theirs)(), 9))
            if number:
                seconds[side].append(time.process_time() - started)
        if len(found) > 1:
            raise SystemExit(f"not the same scores: {found}")
    ratios = [peer / own for own, peer in zip(seconds["ours"], seconds["peer"], strict=True)]
    medians = {side: statistics.median(values) for side, values in seconds.items()}
    note = f"ratio {min(ratios):.1f} to {max(ratios):.1f} over {rounds} rounds; the same accuracy"
    row = {"ratio": statistics.median(ratios), "limit_ratio": LIMIT_RATIO, "note": note}
    return {"name": "summary read, CPU seconds", **medians, **row}


# --- the large log -------------------------------------------------------------------------------------------------


class Writer:
    """A zip of zstd members with its directory in the 64-bit form: Python before 3.14 has no zstd."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._directory, self._count = file, bytearray(), 0
        self._zstd = zstandard.ZstdCompressor(write_content_size=False)

    def add(self, name: str, data: bytes) -> None:
        packed, at, encoded = self._zstd.compress(data), self._file.tell(), name.encode()
        common = (45, 0, 93, 0, 0, zlib.crc32(data), len(packed), len(data), len(encoded))
        self._file.write(struct.pack("<4s5H3I2H", b"PK\x03\x04", *common, 0) + encoded + packed)
        extra = struct.pack("<HHQ", 1, 8, at)
        head = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 45, *common, len(extra), 0, 0, 0, 0, 0xFFFFFFFF)
        self._directory += head + encoded + extra
        self._count += 1

    def close(self) -> None:
        at, size = self._file.tell(), len(self._directory)
        self._file.write(self._directory)
        counts = (self._count, self._count, size, at)
        self._file.write(struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, *counts))
        self._file.write(struct.pack("<4sIQI", b"PK\x06\x07", 0, at + size, 1))
        self._file.write(struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))


def replicate(small: Path, path: Path, count: int) -> int:
    """Writes the large log; gives its size in bytes."""
    archive = open_archive(small)
    read = {name: json.loads(archive.read(name)) for name in ("_journal/start.json", "header.json", "summaries.json")}
    sample = archive.read("samples/q1_epoch_1.json")
    archive.close()
    summary = json.dumps(read["summaries.json"][1]).encode()
    names = [f"q{i + 10_000_000}" for i in range(count)]
    for header in (read["_journal/start.json"], read["header.json"]):
        header["eval"]["dataset"] |= {"samples": count, "sample_ids": names}
    read["header.json"]["results"] |= {"total_samples": count, "completed_samples": count}
    with path.open("wb") as file:
        writer = Writer(file)
        writer.add("_journal/start.json", json.dumps(read["_journal/start.json"]).encode())
        for name, data in zip(names, _renamed(sample, names), strict=True):
            writer.add(f"samples/{name}_epoch_1.json", data)
        writer.add("summaries.json", b"[" + b",".join(_renamed(summary, names)) + b"]")
        writer.add("header.json", json.dumps(read["header.json"]).encode())
        writer.close()
    return path.stat().st_size


def _renamed(template: bytes, names: list[str]) -> Iterator[bytes]:
    for name in names:
        yield template.replace(b'"q1"', f'"{name}"'.encode()).replace(b"thing 1", f"thing {name[1:]}".encode())


def large_rows(small: Path, place: Path, count: int) -> list[dict[str, Any]]:
    path = place / "large.eval"
    size = replicate(small, path, count)
    rows: list[dict[str, Any]] = []
    for kind in ("full", "summary"):
        command = [sys.executable, "-c", CHILD, str(path), kind]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
        found = json.loads(done.stdout)
        if found["rows"] != count or found["scored"] != count:
            raise SystemExit(f"{found['rows']} rows and {found['scored']} scores of {count} samples")
        note = f"{count:,} samples, {size / 2**20:,.0f} MB on disk, {found['seconds']:.1f} s"
        name = f"{kind} read of a large log"
        row = {"name": f"{name}, peak memory in bytes", "ours": found["peak"], "limit": LIMIT_BYTES, "note": note}
        rows.append(row)
        rows.append({"name": f"{name}, s per 1,000 samples", "ours": 1000 * found["seconds"] / count, "note": note})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--large", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        small = evaluate(Path(folder), arguments.samples)
        rows = [summary_row(small, arguments.rounds), *large_rows(small, Path(folder), arguments.large)]
    if arguments.json:
        from inspect_ai import __version__ as inspect_version

        versions = {
            "python": platform.python_version(),
            "inspect_ai": inspect_version,
            "trialist": trialist.__version__,
        }
        print(json.dumps({"rows": rows, "machine": platform.machine(), "versions": versions}))
        return
    for row in rows:
        peer = (
            f", Inspect {row['peer']:.3f}, ratio {row['ratio']:.1f} (at least {LIMIT_RATIO:.0f})"
            if "peer" in row
            else ""
        )
        limit = f" (at most {row['limit']:,})" if "limit" in row else ""
        value = f"{row['ours']:,}" if isinstance(row["ours"], int) else f"{row['ours']:.4f}"
        print(f"{row['name']}: ours {value}{peer}{limit}; {row['note']}")


if __name__ == "__main__":
    main()
