"""What two folders of rules conclude differently: for the rows of the case tables, and for the sample patients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mscprotocol.answer import Assessment
from mscprotocol.authoring.difference import Difference, OutcomeChange, compare_entries
from mscprotocol.authoring.entries import RuleFolder
from mscprotocol.case_tables import Asked, Row
from mscprotocol.errors import DataError
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.sample_cases import SampleCase, assess_sample


def compare(old: RuleFolder, new: RuleFolder, rows: Sequence[Row], samples: Sequence[SampleCase]) -> Difference:
    """All that differs between two folders of rules, in themselves and in what they conclude."""
    return Difference(
        old.knowledge.sha256,
        new.knowledge.sha256,
        list(compare_entries(old, new)),
        list(compare_rows(old, new, rows)),
        list(compare_samples(old, new, samples)),
    )


def compare_rows(old: RuleFolder, new: RuleFolder, rows: Sequence[Row]) -> Iterator[OutcomeChange]:
    """The rows of the case tables that come out differently."""
    for row in rows:
        was, is_ = _outcome(row, old.knowledge), _outcome(row, new.knowledge)
        if was != is_:
            yield OutcomeChange(f"{row.table}.yaml {row.name}", row.protocol or "", "outcome", was, is_)


def _outcome(row: Row, knowledge: KnowledgeBase) -> str:
    try:
        found, reason = Asked(row, knowledge).outcome
    except (KeyError, StopIteration, ValueError) as error:  # the row asks for what these rules do not know
        return f"cannot be asked ({type(error).__name__})"
    return f"{found} ({reason})" if reason else found


def compare_samples(old: RuleFolder, new: RuleFolder, samples: Sequence[SampleCase]) -> Iterator[OutcomeChange]:
    """Verdict, criteria, tier, trend and dose of each sample patient, by every protocol that both folders have."""
    both = [name for name in new.knowledge.protocols if name in old.knowledge.protocols]
    for sample in samples:
        for protocol in both:
            was, is_ = (_said(sample, one.knowledge, protocol) for one in (old, new))
            for what in dict.fromkeys((*was, *is_)):
                if was.get(what) != is_.get(what):
                    yield OutcomeChange(
                        sample.name, protocol, what, was.get(what, "not asked"), is_.get(what, "not asked")
                    )


def _said(sample: SampleCase, knowledge: KnowledgeBase, protocol: str) -> dict[str, str]:
    try:
        return dict(_facts(assess_sample(sample, knowledge, protocol)))
    except DataError as error:
        return {"verdict": f"no answer: {error.code}"}


def _facts(answer: Assessment) -> Iterator[tuple[str, str]]:
    yield "verdict", f"{answer.verdict} ({answer.outlook})" if answer.outlook else answer.verdict
    yield "coagulopathy tier", answer.coagulopathy.tier
    yield "trend", answer.timing.trend
    yield from ((one.id, f"{one.status} ({one.reason})" if one.reason else one.status) for one in answer.criteria)
    amounts = ((answer.dose.cells, "cells"), (answer.dose.volume_ml, "mL"))
    yield "dose", ", ".join([answer.dose.status, *(f"{amount} {unit}" for amount, unit in amounts if amount)])
    yield "infusions", ", ".join(one.planned for one in answer.schedule) or "none"
