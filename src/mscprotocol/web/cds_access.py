"""Who calls a CDS Hooks service: a JWT of a listed client on every call, or anybody on a loopback address."""

from __future__ import annotations

import structlog
from fastapi import Request

from mscprotocol.service import Caller, Service
from mscprotocol.settings import Settings
from mscprotocol.web.addresses import base_of
from mscprotocol.web.callers import LOCAL
from mscprotocol.web.keys import IssuerKeys, KeySets
from mscprotocol.web.pages.people import check_host
from mscprotocol.web.problems import ProblemError
from mscprotocol.web.tokens import TokenError, Verifier

log = structlog.get_logger("mscprotocol.cds")


_LONGEST_TENANT = 100


class CdsAccess:
    """Verifies the tokens of CDS clients. An installation that lists clients, or demands a login, demands a token."""

    def __init__(self, settings: Settings, service: Service, key_sets: KeySets) -> None:
        self.settings = settings
        self.is_demanded = bool(settings.cds_issuers) or settings.authentication == "required"
        self.keys = IssuerKeys(settings.cds_issuers, key_sets)
        self.verifier = Verifier(service.database, service.clock)

    def find(self, request: Request) -> Caller:
        """The client that calls. Raises ProblemError 401, which says nothing about what was wrong."""
        if not self.is_demanded:
            check_host(request)
            return LOCAL
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            if kind.lower() != "bearer":
                raise TokenError("no token")
            claims = self.verifier.verify(token.strip(), self.audience(request), self.keys)
            if claims.tenant is not None and not _is_name(claims.tenant):
                raise TokenError("tenant")
            if self.settings.cds_tenants.get(claims.issuer, claims.tenant) != claims.tenant:
                raise TokenError("tenant")
        except TokenError as error:
            log.info("token refused", why=str(error))
            raise ProblemError(
                401, "unauthorized", "Authentication is required.", {"www-authenticate": "Bearer"}
            ) from None
        # Tenants of one issuer are clients of their own: none gets what was answered to another.
        tenant = "" if claims.tenant is None else f" tenant {claims.tenant}"
        return Caller(f"cds {claims.issuer}{tenant}", frozenset(("cds",)))

    def audience(self, request: Request) -> str:
        """The address of the endpoint exactly as its clients know it."""
        return f"{base_of(request)}{request.url.path}"


def _is_name(tenant: object) -> bool:
    return isinstance(tenant, str) and tenant.isprintable() and 0 < len(tenant) <= _LONGEST_TENANT


def find_client(request: Request) -> Caller:
    """A dependency that gives the client, or ends the request with 401."""
    access: CdsAccess = request.app.state.cds_access
    return access.find(request)
