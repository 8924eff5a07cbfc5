"""What a checklist and a summary print of the deciding sets: what could exclude, what allowing takes, until when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mscprotocol.answer import Alternatives, Assessment, Deadline, Deciding
from mscprotocol.checklist_parts import Fact, Line, print_instant

MOST_LINES, MOST_NAMES, MOST_WAYS = 10, 6, 3
_LAPSES = {
    "criterion": "then {} is no longer decided",
    "finding": "then this is too old: {}",
    "trend": "then the values so far no longer count for the trend of: {}",
}


def build_deciding(answer: Assessment) -> tuple[Fact, ...]:
    """The smallest sets of data that could settle the verdict; nothing where it is settled."""
    deciding = answer.deciding
    if deciding is None:
        return ()
    words = _Words(deciding)
    facts = [words.excluding(), words.allowing(), _until(deciding.by)]
    if not deciding.complete:
        facts.append(
            Fact("Search", "cut short", (Line("each set above suffices; others, or smaller ones, may exist"),))
        )
    return tuple(facts)


class _Words:
    """The sets of one answer with the names of their data, and the codes of those that have to be ordered."""

    def __init__(self, deciding: Deciding) -> None:
        self.deciding = deciding
        self.names = {
            one.id: one.datum if one.bedside or not one.codes else f"{one.datum} ({', '.join(one.codes)})"
            for one in deciding.data
        }

    def excluding(self) -> Fact:
        lines = list(self._excluding())
        more = self.deciding.exclude_more + max(len(lines) - MOST_LINES, 0)
        counted = (Line(f"and {more} more sets"),) if more else ()
        value = "any of these alone" if lines else "nothing that is open"
        return Fact("Could exclude", value, (*map(Line, lines[:MOST_LINES]), *counted))

    def _excluding(self) -> Iterator[str]:
        """Single data together where they stand for the same criteria; sets of several on lines of their own."""
        single: dict[str, list[str]] = {}
        for one in self.deciding.exclude:
            criteria = ", ".join(one.criteria)
            key = criteria if len(one.data) == 1 else f"{criteria} {one.data}"
            single.setdefault(key, []).append(self._together(one.data))
        for key, texts in single.items():
            yield f"{key.split(' [')[0]}: {', or '.join(texts)}"

    def allowing(self) -> Fact:
        allow = self.deciding.allow
        if not allow.smallest:
            blocked = ", ".join(allow.blocked)
            why = f"none of the open data can close {blocked}" if blocked else "no sufficient set was found"
            return Fact("Needed to allow", "not to be had from the open data", (Line(why),))
        lines = [f"in any case: {self._in_any_case(allow.always)}"] if allow.always else []
        lines += [text for one in allow.all_of if (text := self._choice(one))]
        size = len(allow.smallest[0])
        return Fact("Needed to allow", f"at least {size} of {len(self.names)} open data", tuple(map(Line, lines)))

    def _in_any_case(self, always: Sequence[str]) -> str:
        """What no set goes without; where that is nearly everything, what some set goes without."""
        others = [name for name in self.names if name not in always]
        if len(always) <= MOST_NAMES or len(others) > MOST_NAMES:
            return self._counted(always)
        return f"all but for {self._counted(others)}" if others else "all of them"

    def _counted(self, data: Sequence[str]) -> str:
        named = "; ".join(self.names[name] for name in data[:MOST_NAMES])
        more = len(data) - MOST_NAMES
        return f"{named}; and {more} more" if more > 0 else named

    def _choice(self, one: Alternatives) -> str:
        """The ways to close a criterion, where there are several, without what is needed in any case."""
        always = set(self.deciding.allow.always)
        ways = list(dict.fromkeys(self._together([d for d in way if d not in always]) for way in one.any_of))
        if "" in ways or len(ways) + one.more < 2:
            return ""
        more = len(ways) - MOST_WAYS + one.more
        rest = f", or in {more} more ways" if more > 0 else ""
        return f"{one.criterion}: {', or '.join(ways[:MOST_WAYS])}{rest}"

    def _together(self, data: Sequence[str]) -> str:
        return " with ".join(self.names[name] for name in data)


def _until(by: Deadline | None) -> Fact:
    if by is None:
        return Fact("To be settled before", "no limit: nothing decided lapses first")
    return Fact("To be settled before", print_instant(by.at), (Line(_LAPSES[by.kind].format(by.lapses)),))
