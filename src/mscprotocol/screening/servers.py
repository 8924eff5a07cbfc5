"""An id is that of a patient on one server: what names the same id on another is of somebody else, and not merged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from msgspec import Raw

from fhir_adapters.bulk_export import stated_server
from fhir_adapters.subjects import split_url
from mscprotocol.errors import DataError
from mscprotocol.screening.pieces import ENTRY, NOWHERE, RESOURCE, SEEN, VERSION, Origin, Piece, unwrap

_ADVICE = "give each server's export by itself, with its manifest beside its files"


class _Place(NamedTuple):
    """On which server a piece says that its patient is; `is_stated` if its reference itself says so."""

    server: str
    is_patient: bool
    is_stated: bool


def check_servers(pieces: Iterable[Piece], origins: Mapping[int, Origin]) -> None:
    """Refuse pieces of one id that are of several servers, or may be. Raises DataError `foreign_subject`."""
    places = set(_places(pieces, origins))
    known = {one.server for one in places if one.server}
    if len(known) > 1:
        raise DataError("foreign_subject", f"data of several servers name their patient by this id: {_ADVICE}")
    if not any(one.is_stated for one in places):
        return
    # A relative reference means the server that its file is of: which that is, the Patient may tell.
    is_told = any(one.is_patient and one.server for one in places)
    if not is_told and any(not one.server and not one.is_patient for one in places):
        text = "some data name their patient on one server, others on a server that is not known"
        raise DataError("foreign_subject", f"{text}: {_ADVICE}")


def _places(pieces: Iterable[Piece], origins: Mapping[int, Origin]) -> Iterator[_Place]:
    for one in pieces:
        origin = origins.get(one.block, NOWHERE).server
        if one.kind == SEEN:
            yield _Place(one.name or origin, is_patient=False, is_stated=bool(one.name))
        elif one.kind in (RESOURCE, ENTRY, VERSION):
            full_url, resource = unwrap(one.text) or (None, one.text)
            beside = split_url(full_url)
            server = beside[0] if beside is not None else origin
            stated = stated_server(Raw(resource.encode()))
            is_patient = one.name.startswith("Patient/")
            if is_patient or stated is not None:
                yield _Place(stated or server, is_patient, is_stated=bool(stated))
