"""What a change of the record would do, as its page shows it before anybody signs: entry and gate, each twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from mscprotocol.answer import Assessment
from mscprotocol.course_effects import Effect
from mscprotocol.course_forms import Form
from mscprotocol.knowledge import KnowledgeBase
from mscprotocol.web.pages.course_fields import fields_of, moments_of, without_offsets
from mscprotocol.web.pages.gate_lines import GateLine, explain_gate


@dataclass(frozen=True)
class Change:
    """A field of an entry as it is and as it would be."""

    name: str
    before: str | datetime
    after: str | datetime


@dataclass(frozen=True)
class Side:
    """The gate of the next infusion without or with a change; no `gate` where no answer can be given."""

    gate: str
    infusion: int | None
    verdict: str
    lines: list[GateLine]


@dataclass(frozen=True)
class EffectShown:
    """An effect in words; `digest` goes back with the signature, so that what is signed is what was shown."""

    action: str
    changes: list[Change]
    before: Side
    after: Side
    to_sign: tuple[str, ...]
    digest: str


def show_effect(
    effect: Effect, action: str, before: Form | None, after: Form | None, zone: ZoneInfo, knowledge: KnowledgeBase
) -> EffectShown:
    """An effect with the entry before and after; without the latter, the entry stays as it is and counts or not."""
    changes = [] if before is None or after is None else list(_changes(before, after, zone))
    sides = [_side(one, knowledge) for one in (effect.before, effect.after)]
    return EffectShown(action, changes, sides[0], sides[1], effect.to_sign, effect.digest)


def _changes(before: Form, after: Form, zone: ZoneInfo) -> Iterator[Change]:
    old, new = _shown(before, zone), _shown(after, zone)
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield Change(name, old.get(name, ""), new.get(name, ""))


def _shown(form: Form, zone: ZoneInfo) -> dict[str, str | datetime]:
    return {**without_offsets(fields_of(form, zone)), **moments_of(form)}


def _side(answer: Assessment | None, knowledge: KnowledgeBase) -> Side:
    if answer is None or answer.gate is None:
        return Side("", None, "", [])
    return Side(answer.gate.decision, answer.gate.infusion, answer.verdict, explain_gate(answer, knowledge))
