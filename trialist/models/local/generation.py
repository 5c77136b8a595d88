"""Drafts -> replies on the engine: prompts prefilled once as a tree, rows that grow together, new ones as others end.

All but a context's last token is prefilled, once for all samples; the last token is the first step of each row. Rows
that have ended make room for those that wait. Each row's draws are its own, so the batch doesn't change what it says
(beyond float tolerance in the logits). When memory runs out, the rows wait again with the tokens they have, half of
them at a time from then on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from trialist.models.local import _hub
from trialist.models.local.decoding import Decoding, Prompt
from trialist.models.local.drafts import Decode, Draft, Row, reply_of, rows_of
from trialist.models.local.engine import Engine
from trialist.models.local.keyvalues import Trunk
from trialist.models.local.sampling import pick
from trialist.models.local.scoring import batches
from trialist.models.local.tree import common_prefix, make_tree
from trialist.models.protocol import Failure, Reply

ENDED_SHARE = 8
"""Rows that have ended are dropped when they are one in so many: dropping copies the others."""

Done = Iterator[tuple[int, Reply | Failure]]


def generate(engine: Engine, drafts: Sequence[Draft], stop_ids: frozenset[int], decode: Decode) -> Done:
    """(index of the draft, its reply) as drafts end."""
    if not drafts:
        return
    rows = [rows_of(draft) for draft in drafts]
    owner = {row: index for index, group in enumerate(rows) for row in group}
    batch = _Batch(engine, [row for group in rows for row in group])
    open_rows = [len(group) for group in rows]
    while batch.waiting or batch.rows:
        for row in batch.step(stop_ids, decode):
            index = owner[row]
            open_rows[index] -= 1
            if not open_rows[index]:
                yield index, reply_of(drafts[index], rows[index])


class _Batch:
    """``waiting`` rows and the ``rows`` that grow; some of these may have ended and are carried along, unread."""

    def __init__(self, engine: Engine, rows: Sequence[Row]) -> None:
        self.engine, self.waiting, self.rows = engine, deque(rows), list[Row]()
        self.limit = engine.row_limit
        self.trunk = self._common_trunk()
        self.decoding = self._empty()

    def step(self, stop_ids: frozenset[int], decode: Decode) -> list[Row]:
        """One more token for every row; those that end."""
        try:
            if self.waiting and len(self.rows) <= self.limit // 2:
                self._admit()
            return self._grow(stop_ids, decode)
        except (RuntimeError, MemoryError) as error:
            if not _hub.out_of_memory(error):
                raise
            return self._retreat()

    def _grow(self, stop_ids: frozenset[int], decode: Decode) -> list[Row]:
        ids = np.array([(row.tokens or row.draft.context)[-1] for row in self.rows], np.int64)
        self.decoding.begin_step()
        hidden = self.engine.forward.hidden(ids, self.decoding.positions, self.decoding)
        self.decoding.end_step()
        ended: list[Row] = []
        for start, logits in self.engine.forward.logits_in_parts(hidden):
            part = self.rows[start : start + len(logits)]
            picked = pick(logits, part)
            for row, token, logprob in zip(part, picked.tokens, picked.logprobs, strict=True):
                if not row.ended:
                    row.take(token, logprob, stop_ids, decode)
                    ended += [row] if row.ended else []
        self._drop()
        return ended

    def _admit(self) -> None:
        """As many waiting rows as there is room for."""
        taken: list[Row] = []
        room = self.engine.key_value_room - sum(len(row.ids) + row.draft.max_tokens for row in self.rows)
        while self.waiting and len(self.rows) + len(taken) < self.limit:
            row = self.waiting[0]
            room -= len(row.draft.context) // row.draft.num_samples + len(row.tokens) + row.draft.max_tokens
            if room < 0 and (taken or self.rows):
                break
            taken.append(self.waiting.popleft())
        contexts = {row.ids[:-1]: None for row in taken}
        place = {context: i for i, context in enumerate(contexts)}
        try:
            self.decoding.add(self._prefill(list(contexts)), [place[row.ids[:-1]] for row in taken])
        except BaseException:
            self.waiting.extendleft(reversed(taken))
            raise
        self.rows += taken

    def _prefill(self, contexts: Sequence[Sequence[int]]) -> list[Prompt]:
        tree = make_tree(contexts)
        found = self.engine.key_values(tree, len(self.trunk))
        return [Prompt(found[row], int(tree.lengths[row]) - len(self.trunk)) for row in tree.place.tolist()]

    def _drop(self) -> None:
        alive = [i for i, row in enumerate(self.rows) if not row.ended]
        if not alive:
            self.rows, self.decoding = [], self._empty()
        elif ENDED_SHARE * (len(self.rows) - len(alive)) >= len(self.rows):
            self.decoding.keep(alive)
            self.rows = [self.rows[i] for i in alive]

    def _retreat(self) -> list[Row]:
        """Give up keys and values, never tokens. A row that is alone and too large fails."""
        alive = [row for row in self.rows if not row.ended]
        self.rows, self.decoding = [], self._empty()
        self.engine.release()
        failed: list[Row] = []
        if self.limit == 1:
            failed = alive or [self.waiting.popleft()]
            for row in failed:
                row.failure = f"memory ran out on a text, even alone: {len(row.ids)} tokens"
        else:
            self.waiting.extendleft(reversed(alive))
            self.limit = max(1, min(self.limit, len(self.waiting)) // 2)
        self.trunk = Trunk.empty()
        self.decoding = self._empty()
        return failed

    def _common_trunk(self) -> Trunk:
        contexts = list(dict.fromkeys(row.draft.context[:-1] for row in self.waiting))
        tree = make_tree([min(contexts), max(contexts)])  # what the first and the last of them share, all share
        common = common_prefix(tree.rows[0], tree.rows[-1])
        worth = len(contexts) > 1 and common >= self.engine.sizes.min_trunk
        try:
            return self.engine.trunk(tree.rows[0][:common]) if worth else Trunk.empty()
        except (RuntimeError, MemoryError) as error:
            if not _hub.out_of_memory(error):
                raise
            self.engine.release()
            return Trunk.empty()

    def _empty(self) -> Decoding:
        return Decoding(self.trunk.layers, len(self.trunk), self.engine.forward.device)


def generate_plainly(network: _hub.Network, drafts: Sequence[Draft], stop_ids: frozenset[int], decode: Decode) -> Done:
    """The plain twin: each sample a row of its own, rows of one length together, the architecture's own cache."""
    rows = [rows_of(draft) for draft in drafts]
    every = sorted(
        (row for group in rows for row in group), key=lambda row: (len(row.draft.context), row.draft.context)
    )
    lengths = [row.draft.context for row in every]
    start = 0
    for batch in batches(lengths, TOKENS_AT_ONCE, equal=True):
        _grow_plainly(network, every[start : start + len(batch)], stop_ids, decode)
        start += len(batch)
    yield from ((index, reply_of(draft, group)) for index, (draft, group) in enumerate(zip(drafts, rows, strict=True)))


TOKENS_AT_ONCE = 4096


def _grow_plainly(network: _hub.Network, rows: Sequence[Row], stop_ids: frozenset[int], decode: Decode) -> None:
    past, ids = None, [list(row.draft.context) for row in rows]
    while not all(row.ended for row in rows):
        logits, past = _hub.next_logits(network, ids, past)
        picked = pick(logits.float(), rows)
        for row, known, token, logprob in zip(rows, ids, picked.tokens, picked.logprobs, strict=True):
            known.append(token or 0)  # what has ended is carried along, unread
            if not row.ended:
                row.take(token, logprob, stop_ids, decode)
