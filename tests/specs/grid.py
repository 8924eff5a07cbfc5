"""Reads the tables of these specifications."""

from decimal import Decimal

from mscprotocol.interval import Interval
from mscprotocol.truth import Truth

TRUTHS = {"T": Truth.MET, "F": Truth.NOT_MET, "?": Truth.UNKNOWN}


def read_grid(text):
    """Every cell of a table as (row, column, cell); a rule of dashes stands below the head."""
    cells = []
    head, rule, *rows = [line for line in text.splitlines() if line.strip()]
    assert set(rule.strip()) <= set("-+"), "the second line of a table is its rule"
    columns = head.partition("|")[2].split()
    for row in rows:
        name, _, right = row.partition("|")
        assert len(right.split()) == len(columns), f"a cell is missing: {row}"
        cells += [(name.strip(), column, cell) for column, cell in zip(columns, right.split(), strict=True)]
    return cells


def read_interval(text):
    """`30`, `<30`, `>=30`, `[20, 30)` or `any`."""
    if text == "any":
        return Interval()
    if text[0] in "[(":
        low, high = text[1:-1].split(",")
        return Interval(Decimal(low), Decimal(high.strip()), text[0] == "(", text[-1] == ")")
    for sign in ("<=", ">=", "<", ">"):
        if text.startswith(sign):
            end = Decimal(text.removeprefix(sign))
            is_open = "=" not in sign
            return Interval(high=end, high_open=is_open) if "<" in sign else Interval(low=end, low_open=is_open)
    return Interval(Decimal(text), Decimal(text))
