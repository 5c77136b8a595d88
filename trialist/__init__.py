"""Trialist: controlled trials for AI systems.

Names load when they are first used: ``import trialist`` imports nothing else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trialist.deployment.policy import Policy
    from trialist.durability.relearning import Relearning
    from trialist.errors import TrialistError
    from trialist.evaluations.capability.benign_compounds import BenignCompounds
    from trialist.evaluations.capability.hazard_compounds import HazardCompounds
    from trialist.evaluations.capability.never_trained_compounds import NeverTrainedCompounds
    from trialist.evaluations.capability.world_facts import WorldFacts
    from trialist.evaluations.fairness.bbq import BBQ
    from trialist.interventions.weights.rmu import RMU
    from trialist.logs.read import read
    from trialist.models.local import LocalModel
    from trialist.records import Answer, Cell, Decision, Estimate, Item, Score
    from trialist.trial.spec import Arm, Design, Outcome, Trial

__version__ = "0.1.0"

_HOME = {
    "Policy": "deployment.policy",
    "Relearning": "durability.relearning",
    "TrialistError": "errors",
    "BenignCompounds": "evaluations.capability.benign_compounds",
    "HazardCompounds": "evaluations.capability.hazard_compounds",
    "NeverTrainedCompounds": "evaluations.capability.never_trained_compounds",
    "WorldFacts": "evaluations.capability.world_facts",
    "BBQ": "evaluations.fairness.bbq",
    "RMU": "interventions.weights.rmu",
    "read": "logs.read",
    "LocalModel": "models.local",
    "Answer": "records",
    "Cell": "records",
    "Decision": "records",
    "Estimate": "records",
    "Item": "records",
    "Score": "records",
    "Arm": "trial.spec",
    "Design": "trial.spec",
    "Outcome": "trial.spec",
    "Trial": "trial.spec",
}

__all__ = [  # noqa: RUF022 - in the order of a trial
    "Trial",
    "Arm",
    "Outcome",
    "Design",
    "Policy",
    "RMU",
    "Relearning",
    "HazardCompounds",
    "BenignCompounds",
    "NeverTrainedCompounds",
    "WorldFacts",
    "BBQ",
    "LocalModel",
    "Cell",
    "Item",
    "Answer",
    "Score",
    "Estimate",
    "Decision",
    "TrialistError",
    "read",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'trialist' has no attribute '{name}'")
    return getattr(importlib.import_module(f"trialist.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
