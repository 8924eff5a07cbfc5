"""Who may record along a course, and who may sign: roles as the scopes of whoever calls."""

from __future__ import annotations

from mscprotocol.errors import RequestError
from mscprotocol.service import Caller

RECORDERS = frozenset({"coordinator", "clinician"})
CLINICIANS = frozenset({"clinician"})


def allow(caller: Caller, roles: frozenset[str]) -> None:
    """Raise RequestError `forbidden` unless the caller has one of the roles."""
    if roles.isdisjoint(caller.scopes):
        raise RequestError("forbidden", f"This is for: {', '.join(sorted(roles))}.")
