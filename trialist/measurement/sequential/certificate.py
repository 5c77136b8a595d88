"""What a gate decided, by which rule and from which values: a record that can be checked without the gate.

A certificate isn't signed. That the rule and the order came before the data is shown by publishing their digests first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from trialist.errors import MeasurementUndefined
from trialist.records import Verdict, canonical_json, sha256_hex

SCHEMA = "trialist/gate/1"

Key = str | int


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON of a value."""
    return sha256_hex(canonical_json(value))


@dataclass(frozen=True)
class GateRule:
    """Everything that decides, fixed before the first value."""

    alpha: float
    beta: float
    cap: int
    missing: tuple[float, float]
    """What the (pass, fail) process sees for a missing answer."""
    pass_process: Mapping[str, str | float]
    fail_process: Mapping[str, str | float]

    @property
    def digest(self) -> str:
        return digest(asdict(self))


@dataclass(frozen=True)
class Certificate:
    """What a gate decided and from what. ``to_json`` and ``from_json`` are inverse to each other."""

    rule: GateRule
    rule_sha256: str
    order_sha256: str
    """Digest of the registered order of keys; empty if none was registered."""
    values_sha256: str
    """Digest of the values in order, null for a missing one."""
    num_registered: int
    num_seen: int
    num_missing: int
    verdict: Verdict
    log_e_pass: float
    log_e_fail: float
    schema: str = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; a log e-value that is infinite (its null is impossible) stands as text."""
        logs = {name: _plain(getattr(self, name)) for name in ("log_e_pass", "log_e_fail")}
        return asdict(self) | logs | {"rule": asdict(self.rule) | {"missing": list(self.rule.missing)}}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Certificate:
        """Raises MeasurementUndefined for another schema or fields that are absent or unknown."""
        if data.get("schema") != SCHEMA:
            raise MeasurementUndefined("not a gate's certificate", seen=str(data.get("schema")), allowed=SCHEMA)
        try:
            fields: dict[str, Any] = dict(data)
            rule: dict[str, Any] = dict(fields["rule"])
            for_pass, for_fail = rule["missing"]
            rule["missing"] = (float(for_pass), float(for_fail))
            fields["rule"] = GateRule(**rule)
            fields |= {name: float(fields[name]) for name in ("log_e_pass", "log_e_fail")}
            return Certificate(**fields)
        except (KeyError, TypeError, ValueError) as error:
            raise MeasurementUndefined("a certificate that can't be read", seen=repr(error)) from error


def _plain(value: float) -> float | str:
    return value if math.isfinite(value) else repr(value)
