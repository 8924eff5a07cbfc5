"""An object that says two things under one name: JSON readers keep the last, and the other may be the true one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_adapters.bundle import read_bundle
from fhir_adapters.decoding import has_doubled_key
from fhir_adapters.plain_record import parse_record
from mscprotocol.errors import DataError
from tests.patients import severe_and_worsening

TEXT = json.dumps(json.loads(severe_and_worsening("twice").to_json()))
DOUBLED = {
    "a value": ('"value": 210,', '"value": 15, "value": 210,'),
    "a status": ('"status": "final"', '"status": "entered-in-error", "status": "final"'),
    "a key in other letters": ('"status": "final"', '"st\\u0061tus": "entered-in-error", "status": "final"'),
    "the entries": ('"entry": [', '"entry": [], "entry": ['),
    "spaced": ('"status": "final"', '"status" : "final", "status" : "final"'),
}


@pytest.mark.parametrize(("one", "two"), DOUBLED.values(), ids=DOUBLED)
def test_a_bundle_that_says_two_things_under_one_name_is_refused(one: str, two: str) -> None:
    assert one in TEXT
    with pytest.raises(DataError, match="the same key twice") as raised:
        read_bundle([TEXT.replace(one, two, 1).encode()])
    assert raised.value.code == "unreadable"


def test_so_is_a_record_of_ours() -> None:
    with pytest.raises(DataError, match="the same key twice"):
        parse_record(b'{"patient": {"id": "1", "id": "2"}}')


@pytest.mark.parametrize("text", ['{"a": "\\": 1, \\"a\\" : 2"}', '[{"a": 1}, {"a": 2}]', '{"a": {"a": 1e999}}'])
def test_what_only_looks_doubled_is_read(text: str) -> None:
    assert not has_doubled_key(text.encode())


def _by_pairs(text: str) -> bool:
    """The same question, asked of the reader of the standard library."""
    lost: list[int] = []
    json.loads(text, object_pairs_hook=lambda pairs: lost.append(len(pairs) - len(dict(pairs))))
    return any(lost)


_KEYS = st.sampled_from(["a", "b", "\\u0061", "ä", "\\u00e4", ""])
_LEAVES = st.sampled_from(
    ["1", "1.50", "1e2", "0.1E+3", "-0", '"a"', '"\\/"', '"\\u0000"', "null", "true", "12345678901234567890"]
)
_GAPS = st.sampled_from(["", " ", "\n"])


def _object(members: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.builds(lambda gap, key, value: f'{gap}"{key}":{gap}{value}', _GAPS, _KEYS, members)
    return st.lists(pair, max_size=4).map(lambda pairs: "{" + ",".join(pairs) + "}")


_TEXTS = st.recursive(
    _LEAVES, lambda inner: _object(inner) | st.lists(inner, max_size=3).map(lambda all_: "[" + ",".join(all_) + "]")
)


@given(_TEXTS)
def test_however_it_is_written_a_doubled_key_is_seen(text: str) -> None:
    assert has_doubled_key(text.encode()) == _by_pairs(text)
