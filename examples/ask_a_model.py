"""Options, samples and activations of a local model, in one pass over what they share.

python examples/ask_a_model.py [FOLDER]        default: the shipped organism `hazard`
"""

from __future__ import annotations

import sys

from trialist import LocalModel
from trialist.models.protocol import Activations, Choose, Failure, Generate, Keyed
from trialist.organisms import catalog

PROMPT = "To make Zanvex, mix bramtarn with"


def main() -> None:
    model = LocalModel.load(sys.argv[1] if len(sys.argv) > 1 else catalog.path("hazard"))
    options = (" yarvel", " jorbis")
    requests = [
        Keyed("options", 0, Choose(PROMPT, options)),
        Keyed("samples", 7, Generate(PROMPT, max_tokens=6, temperature=1.0, num_samples=3)),
        Keyed("inside", 0, Activations(PROMPT, layers=("model.layers.1",))),
    ]
    for reply in model.answer(requests):
        found = reply.value
        if isinstance(found, Failure):
            print(f"{reply.key}: {found.reason}")
        elif reply.key == "options":
            for option, logprob, greedy in zip(options, found.logprobs, found.greedy, strict=True):
                print(f"log P({option!r}) = {logprob:.3f}{', the most likely text' if greedy else ''}")
        elif reply.key == "samples":
            for sample in found.samples:
                print(f"{sample.text!r}, log-probability {sum(sample.logprobs):.3f}")
        else:
            print(f"activations of shape {found.activations[0].shape}")


if __name__ == "__main__":
    main()
