"""The histories of all kinds, folded beside the runs and kept beside their states."""

from collections import OrderedDict
from collections.abc import Iterable

import msgspec

from progress_ledger.ledger.events import Event, RunSpec
from progress_ledger.ledger.log import Document, EventLog

from .history import KindHistory, Prior, RunSummary, summarize
from .state import RunState

__all__ = ("MAX_KINDS", "SPACE", "Histories")

SPACE = "kind.1"
"""Where histories are kept. The number changes with their form."""

MAX_KINDS = 1_000
"""Kinds with a history. A further one takes the place of the kind whose last run ended longest ago."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(KindHistory).decode


class Histories:
    """What past runs of each kind were like, as of the last event folded. A function of the log alone."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[str, KindHistory] = OrderedDict()
        self._priors: dict[str, Prior | None] = {}  # of the kinds of which no run has ended since it was made
        self._unsaved: set[str] = set()

    def get(self, kind: str) -> KindHistory | None:
        """The history of a kind, None when no run of it has ended. Do not change it."""
        return self._kinds.get(kind)

    def kinds(self) -> list[str]:
        """Names of all kinds with a history, the one whose run ended last at the end."""
        return list(self._kinds)

    def prior(self, first: Event) -> Prior | None:
        """What a run whose first event is ``first`` may expect: only from runs that ended before it."""
        spec = first.data
        if not isinstance(spec, RunSpec):
            return None
        history = self._kinds.get(spec.kind)
        if history is None:
            return None
        if first.position <= history.position:
            return history.prior(first.position)
        if spec.kind not in self._priors:
            self._priors[spec.kind] = history.prior()
        return self._priors[spec.kind]

    def ended(self, state: RunState) -> None:
        """A run has just ended. Told twice, or told of an end that is in already, nothing changes."""
        history = self._kinds.get(state.kind)
        if history is None:
            history = self._kinds[state.kind] = KindHistory(state.kind)
        if state.position <= history.position:
            return
        summary = None
        if state.status == "completed":
            summary = summarize(
                state.course,
                run_id=state.run_id,
                position=state.position,
                finished_at=state.finished_at or state.updated_at,
                unit=state.unit,
            )
        history.ended(state.status, state.position, summary)
        self._priors.pop(state.kind, None)
        self._kinds.move_to_end(state.kind)
        self._unsaved.add(state.kind)
        if len(self._kinds) > MAX_KINDS:
            oldest, _ = self._kinds.popitem(last=False)
            self._priors.pop(oldest, None)

    def ends(self) -> dict[int, tuple[str, RunSummary]]:
        """The kept summaries by the position of their run's end, with their kinds."""
        return {run.position: (kind, run) for kind, history in self._kinds.items() for run in history.last}

    def pruned(self, kind: str, summary: RunSummary) -> None:
        """A run that completed there is gone from the log; what was kept of it takes its place."""
        history = self._kinds.setdefault(kind, KindHistory(kind))
        history.ended("completed", summary.position, summary)
        self._priors.pop(kind, None)
        self._kinds.move_to_end(kind)
        self._unsaved.add(kind)

    def documents(self) -> list[Document]:
        """All of them as they are kept; :meth:`adopt` takes them back."""
        return [_document(history) for history in self._kinds.values()]

    def adopt(self, documents: Iterable[Document]) -> None:
        """Take histories of kinds that are not here, folded elsewhere; the latest ended come last again."""
        for document in documents:
            history = _decode(document.value)
            self._kinds[history.kind] = history
            self._unsaved.add(history.kind)
        self._kinds = OrderedDict(sorted(self._kinds.items(), key=lambda item: item[1].position))

    async def load(self, log: EventLog) -> None:
        """Take the histories kept beside ``log``; one that cannot be read is left out."""
        found: list[KindHistory] = []
        for document in await log.load_documents(SPACE):
            try:
                found.append(_decode(document.value))
            except msgspec.MsgspecError:
                continue
        found.sort(key=lambda history: history.position)
        self._kinds = OrderedDict((history.kind, history) for history in found[-MAX_KINDS:])
        self._priors = {}
        self._unsaved = set()

    async def save(self, log: EventLog) -> None:
        """Keep what changed since the last time. To be called before the checkpoint of the states moves."""
        unsaved, self._unsaved = self._unsaved, set()
        documents = [_document(self._kinds[kind]) for kind in unsaved if kind in self._kinds]
        if not documents:
            return
        try:
            await log.save_documents(SPACE, documents)
        except BaseException:
            self._unsaved |= unsaved
            raise


def _document(history: KindHistory) -> Document:
    return Document(history.kind, history.position, _encode(history))
