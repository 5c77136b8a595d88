"""``Scripted``: a model whose replies come from a plain function, for tests and as a respondent that knows nothing.

Respondents that follow a rule and never read the question ("always the first", "the longest") show what an evaluation
gives away: a scorer or a data set on which they do well measures the position or the length of its options.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from trialist.errors import NameUnknown
from trialist.models.protocol import Ability, Activations, Choose, Failure, Generate, Keyed, Reply, Request
from trialist.records import canonical_json, seed_of, sha256_hex

Respond = Callable[[Keyed[Request]], Reply | Failure]
Pick = Callable[[tuple[str, ...], int], int]
"""Which option to pick, from the options and the request's seed."""

_REST = 1e-6  # probability that a picked option leaves to the others together: small enough for any normalisation


@dataclass(frozen=True)
class Scripted:
    """A model that answers with ``respond(request)``, request by request and independent of their order.

    ``digest`` must differ wherever replies may differ: the constructors below hash what determines them, and whoever
    gives a function of their own names it in ``digest``. ``delay_seconds`` sleeps before each reply and changes none.
    """

    digest: str
    respond: Respond
    abilities: frozenset[Ability] = frozenset({"choose", "generate", "repeatable"})
    delay_seconds: float = 0.0

    def answer(self, requests: Iterable[Keyed[Request]]) -> Iterator[Keyed[Reply | Failure]]:
        for request in requests:
            if self.delay_seconds > 0:
                time.sleep(self.delay_seconds)
            yield Keyed(request.key, request.seed, self.respond(request))


# --- from a function, from replies ---------------------------------------------------------------------------


def from_function(name: str, respond: Respond, *, version: str = "1") -> Scripted:
    """A model from a function of the keyed request; the digest is that of ``name`` and ``version``, which must
    change with the function."""
    return Scripted(_digest("function", name, version), respond)


def from_replies(replies: Mapping[Request, Reply | Failure]) -> Scripted:
    """Answers each request with the reply it is mapped to; another request fails."""
    known = dict(replies)
    parts = sorted(canonical_json([type(r).__name__, r, _plain(reply)]).decode() for r, reply in known.items())
    absent = Failure("no reply was given for this request")
    return Scripted(_digest("replies", *parts), lambda request: known.get(request.value, absent))


def replay(replies: Mapping[str, Reply | Failure]) -> Scripted:
    """Answers each request with the reply recorded under its key; another key fails."""
    known = dict(replies)
    parts = sorted(canonical_json([key, _plain(reply)]).decode() for key, reply in known.items())

    def respond(request: Keyed[Request]) -> Reply | Failure:
        return known.get(request.key) or Failure(f"no reply was recorded under the key '{request.key}'")

    return Scripted(_digest("replay", *parts), respond)


def failing(model: Scripted, share: float, *, seed: int = 0, reason: str = "made to fail") -> Scripted:
    """The same model, failing on about ``share`` of the requests; which ones depends on their content and seed."""
    limit = share * 2.0**63

    def respond(request: Keyed[Request]) -> Reply | Failure:
        return Failure(reason) if _request_seed("failing", seed, request) < limit else model.respond(request)

    return replace(model, digest=_digest("failing", model.digest, str(share), str(seed), reason), respond=respond)


# --- respondents by rule -------------------------------------------------------------------------------------


def uniform(seed: int = 0) -> Scripted:
    """Picks an option uniformly at random, drawn from ``seed``, the request and the request's seed."""

    def respond(request: Keyed[Request]) -> Reply | Failure:
        draw = _request_seed("uniform", seed, request)
        return _choosing("uniform", request.value, lambda options, _: draw % len(options), 0)

    return Scripted(_digest("uniform", str(seed)), respond)


def always(index: int) -> Scripted:
    """Picks the option at ``index``; negative counts from the end. Fails where there is no such option."""
    return _rule(f"always {index}", lambda options, _: range(len(options))[index])


def longest() -> Scripted:
    """Picks the option with the most characters; of equally long ones the first."""
    return _rule("longest", lambda options, _: max(range(len(options)), key=lambda i: len(options[i])))


def refuser(text: str = "I can't help with that.") -> Scripted:
    """Generates a refusal; can't choose."""

    def respond(request: Keyed[Request]) -> Reply | Failure:
        return Reply(text=text) if isinstance(request.value, Generate) else Failure("refuses to choose")

    return Scripted(_digest("refuser", text), respond)


def echo() -> Scripted:
    """Generates the prompt; picks the option that stands latest in the prompt. Where none does, all are exactly tied.

    An evaluation on which it does well gives its answers away in the prompt.
    """

    def respond(request: Keyed[Request]) -> Reply | Failure:
        if isinstance(request.value, Generate):
            return Reply(text=request.value.prompt)
        if isinstance(request.value, Activations):
            return Failure("'echo' has no activations")
        prompt, options = request.value.prompt, request.value.options
        places = [prompt.rfind(option.strip()) for option in options]
        if max(places, default=-1) < 0:
            return _tied(options)
        return _picked(options, max(range(len(options)), key=lambda i: (places[i], len(options[i]))))

    return Scripted(_digest("echo"), respond)


def oracle(targets: Mapping[Request, int | str]) -> Scripted:
    """Knows the right answer: an option's index for a ``Choose``, the text for a ``Generate``. Other requests fail."""
    replies: dict[Request, Reply | Failure] = {}
    for request, target in targets.items():
        if isinstance(request, Choose) and isinstance(target, int):
            replies[request] = _picked(request.options, target)
        elif isinstance(request, Generate) and isinstance(target, str):
            replies[request] = Reply(text=target)
        else:
            raise TypeError(f"the target of a {type(request).__name__} can't be {target!r}")
    return from_replies(replies)


RESPONDENTS: Mapping[str, Callable[[], Scripted]] = {
    "uniform": uniform,
    "first": lambda: always(0),
    "last": lambda: always(-1),
    "longest": longest,
    "refuses": refuser,
    "echo": echo,
}


def respondent(name: str) -> Scripted:
    """The model called ``scripted/<name>`` in a spec. Raises ``NameUnknown`` with the nearest valid name."""
    if name not in RESPONDENTS:
        raise NameUnknown("scripted respondent", name, RESPONDENTS)
    return RESPONDENTS[name]()


# --- replies -------------------------------------------------------------------------------------------------


def _rule(name: str, pick: Pick) -> Scripted:
    return Scripted(_digest("rule", name), lambda request: _choosing(name, request.value, pick, request.seed))


def _choosing(name: str, request: Request, pick: Pick, seed: int) -> Reply | Failure:
    if not isinstance(request, Choose):
        return Failure(f"'{name}' picks among options and this request has none")
    try:
        return _picked(request.options, pick(request.options, seed))
    except (IndexError, ValueError, ZeroDivisionError):
        return Failure(f"'{name}' has nothing to pick among {len(request.options)} options")


def _picked(options: tuple[str, ...], index: int) -> Reply:
    logprobs = [math.log(_REST / max(1, len(options) - 1))] * len(options)
    logprobs[index] = math.log1p(-_REST)
    return _reply(options, tuple(logprobs))


def _tied(options: tuple[str, ...]) -> Reply | Failure:
    if not options:
        return Failure("there are no options")
    return _reply(options, (-math.log(len(options)),) * len(options))


def _reply(options: tuple[str, ...], logprobs: tuple[float, ...]) -> Reply:
    num_tokens = tuple(max(1, len(option.split())) for option in options)
    num_bytes = tuple(len(option.encode()) for option in options)
    return Reply(logprobs=logprobs, num_tokens=num_tokens, num_bytes=num_bytes)


def _request_seed(name: str, seed: int, request: Keyed[Request]) -> int:
    value = request.value
    content = value.options if isinstance(value, Choose) else (canonical_json(value).decode(),)
    return seed_of(name, seed, request.seed, type(value).__name__, value.prompt, *content)


def _plain(reply: Reply | Failure) -> object:
    """JSON values of a reply; log-probabilities as text, since they may be NaN or infinite on purpose."""
    if isinstance(reply, Failure):
        return ["failure", reply.reason]
    return [reply.text, [repr(x) for x in reply.logprobs], reply.num_tokens, reply.num_bytes, reply.truncated]


def _digest(*parts: str) -> str:
    return sha256_hex(canonical_json(["scripted", *parts]))
