"""Every number of the report by name, and which of them add up: what may be shared is settled over all of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mscprotocol.rulebook import Rulebook
from mscprotocol.screening.disclosure import Ledger, size_of
from mscprotocol.screening.outputs import Balance
from mscprotocol.screening.tallies import ProtocolTally, Tally

T = TypeVar("T", bound=Hashable)
VERDICTS = ("ineligible", "undetermined", "eligible")
COMBINATIONS, NOTES = 14, 25


@dataclass(frozen=True)
class Names:
    """What the report lists: problems by level and code, remarks, and by protocol the combinations of criteria."""

    problems: Sequence[tuple[str, str]]
    notes: Sequence[str]
    combinations: Mapping[str, Sequence[tuple[str, ...]]]


def enter_numbers(
    tally: Tally, balance: Balance, problems: Mapping[tuple[str, str], int], books: Sequence[Rulebook], least: int
) -> tuple[Ledger, Names]:
    """The numbers of a run; `problems` counts what was quarantined by level and code, all levels."""
    ledger = Ledger(least)
    names = Names(
        problems=sorted(problems),
        notes=_most(tally.quality, NOTES, least),
        combinations={book.protocol.id: _most(_of(tally, book).combinations, COMBINATIONS, least) for book in books},
    )
    _enter_run(ledger, balance, problems)
    ledger.enter({("note", text): tally.quality[text] for text in names.notes})
    for text in names.notes:
        ledger.contain("assessed", [("note", text)])
    for book in books:
        _enter_protocol(ledger, book, _of(tally, book), names.combinations[book.protocol.id])
        _enter_changes(ledger, book.protocol.id, tally)
    ledger.settle()
    return ledger, names


def _of(tally: Tally, book: Rulebook) -> ProtocolTally:
    return tally.protocols.get(book.protocol.id, ProtocolTally())


def _most(counts: Mapping[T, int], most: int, least: int) -> list[T]:
    """The most frequent ones of which a number is told, in an order that tells no more than the numbers do."""
    sizes = {name: size_of(number, least) for name, number in counts.items()}
    return sorted((name for name, size in sizes.items() if size), key=lambda name: (-sizes[name], str(name)))[:most]


def _enter_run(ledger: Ledger, balance: Balance, problems: Mapping[tuple[str, str], int]) -> None:
    """Files, lines and patients, and what became of them."""
    ledger.enter({name: getattr(balance, name) for name in Balance.__struct_fields__})
    ledger.enter({("problem", *one): number for one, number in problems.items()})
    ledger.add_up("lines", ["kept", "not_read", "blank", "lines_quarantined"])
    ledger.contain("kept", ["fallen", "in_doubt"])
    ledger.contain("files", ["files_quarantined"])
    ledger.add_up("patients", ["assessed", "patients_quarantined"])
    by_level = {
        level: [("problem", *one) for one in problems if one[0] == level] for level in ("file", "line", "patient")
    }
    ledger.add_up("files_quarantined", by_level["file"])
    ledger.contain("lines_quarantined", by_level["line"])
    ledger.add_up("patients_quarantined", by_level["patient"])


def _enter_protocol(ledger: Ledger, book: Rulebook, tally: ProtocolTally, listed: Sequence[tuple[str, ...]]) -> None:
    """Verdicts under one protocol, what excludes, and what is open."""
    mine = book.protocol.id
    ledger.enter({(mine, verdict): tally.verdicts[verdict] for verdict in VERDICTS})
    ledger.add_up("assessed", [(mine, verdict) for verdict in VERDICTS])
    _enter_attrition(ledger, mine, tally, [name for name, _ in book.criteria], listed)
    undetermined = (mine, "undetermined")
    for kind, counts in (("outlook", tally.outlooks), ("settled by", tally.one_datum), ("needed", tally.needed)):
        ledger.enter({(mine, kind, name): number for name, number in counts.items()})
    ledger.add_up(undetermined, [(mine, "outlook", name) for name in tally.outlooks])
    ledger.contain(undetermined, [(mine, "settled by", name) for name in tally.one_datum])
    for name in tally.needed:
        ledger.enter({(mine, "settled by", name): tally.one_datum[name]})
        ledger.contain((mine, "needed", name), [(mine, "settled by", name)])
        ledger.contain(undetermined, [(mine, "needed", name)])
    ledger.enter({(mine, "open", *one): number for one, number in tally.reasons.items()})
    for criterion in sorted({name for name, _ in tally.reasons}):
        ledger.contain("assessed", [(mine, "open", *one) for one in tally.reasons if one[0] == criterion])


def _enter_attrition(
    ledger: Ledger, mine: str, tally: ProtocolTally, order: list[str], listed: Sequence[tuple[str, ...]]
) -> None:
    """Each criterion that excludes: in turn, alone and at all; and combinations of them."""
    ineligible, steps = (mine, "ineligible"), tally.sequential(order)
    ledger.enter({(mine, "combination", ids): tally.combinations[ids] for ids in listed})
    ledger.enter({(mine, "others"): tally.verdicts["ineligible"] - sum(tally.combinations[ids] for ids in listed)})
    ledger.add_up(ineligible, [(mine, "others"), *((mine, "combination", ids) for ids in listed)])
    before: Hashable = "assessed"
    for name, first, after in steps:
        # Alone is the combination of one criterion: one number under one name, listed or not.
        alone = (mine, "combination", (name,))
        ledger.enter({(mine, "first", name): first, (mine, "left", name): after, alone: tally.sole[name]})
        ledger.enter({(mine, "at all", name): tally.at_all[name]})
        ledger.add_up(before, [(mine, "first", name), (mine, "left", name)])
        before = (mine, "left", name)
        with_it = [(name,), *(ids for ids in listed if name in ids and len(ids) > 1)]
        ledger.contain((mine, "at all", name), [(mine, "first", name)])
        ledger.contain((mine, "at all", name), [(mine, "combination", ids) for ids in with_it])
        in_turn = [ids for ids in with_it if min(ids, key=order.index) == name]
        ledger.contain((mine, "first", name), [(mine, "combination", ids) for ids in in_turn])
    ledger.add_up(before, [(mine, "undetermined"), (mine, "eligible")])
    ledger.add_up(ineligible, [(mine, "first", name) for name, _, _ in steps])
    ledger.contain(ineligible, [(mine, "combination", (name,)) for name, _, _ in steps])


def _enter_changes(ledger: Ledger, mine: str, tally: Tally) -> None:
    """What other rules would change, by scenario: verdicts, and the status of criteria."""
    for (scenario, protocol, before, after), number in tally.changes.items():
        if protocol == mine:
            ledger.enter({("verdict then", scenario, mine, before, after): number})
    for (scenario, protocol, *change), number in tally.changed_criteria.items():
        if protocol == mine:
            ledger.enter({("status then", scenario, mine, *change): number})
    for scenario, before in sorted({(key[0], key[2]) for key in tally.changes if key[1] == mine}):
        same = [key for key in tally.changes if key[:3] == (scenario, mine, before)]
        ledger.contain((mine, before), [("verdict then", *key) for key in same])
    for scenario, criterion in sorted({(key[0], key[2]) for key in tally.changed_criteria if key[1] == mine}):
        moved = [key for key in tally.changed_criteria if key[:3] == (scenario, mine, criterion)]
        ledger.contain("assessed", [("status then", *key) for key in moved])
