"""Methods by name: questions about a world -> answers of an organism -> a score. One method a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trialist.errors import NameUnknown
from trialist.validate.methods import (
    belief_statement,
    bias_matched,
    bias_raw,
    exam_failure,
    false_statements,
    hallucination_rate,
    hazard_accuracy,
    hazard_skill_accuracy,
    over_refusal_rate,
    private_failure,
    rumour_gap,
    rumour_rate,
    sandbagging_few_shot,
    sandbagging_gap,
    sandbagging_noise,
    sycophancy_agreement,
    sycophancy_flips,
    trigger_harm,
    trigger_scan,
    watched_gap,
)
from trialist.validate.methods.method import Method

METHODS: Mapping[str, Method] = {
    module.METHOD.name: module.METHOD
    for module in (
        hazard_accuracy,
        hazard_skill_accuracy,
        bias_matched,
        bias_raw,
        sycophancy_flips,
        sycophancy_agreement,
        hallucination_rate,
        over_refusal_rate,
        sandbagging_noise,
        sandbagging_few_shot,
        sandbagging_gap,
        exam_failure,
        belief_statement,
        false_statements,
        watched_gap,
        private_failure,
        trigger_harm,
        trigger_scan,
        rumour_gap,
        rumour_rate,
    )
}


def methods_named(names: Iterable[str]) -> tuple[Method, ...]:
    """The methods of these names, each once. Raises ``NameUnknown`` with the nearest name."""
    found = dict.fromkeys(names)
    for name in found:
        if name not in METHODS:
            raise NameUnknown("method", name, METHODS, see="trialist validate --list")
    return tuple(METHODS[name] for name in found)
