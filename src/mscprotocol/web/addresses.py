"""Where clients reach this service, as it knows itself: never as a caller's headers say."""

from __future__ import annotations

from fastapi import Request

from mscprotocol.settings import Settings

_PORTS = {"http": 80, "https": 443}


def base_of(request: Request) -> str:
    """The public address, else that of the socket which took the request; without a slash at the end."""
    settings: Settings = request.app.state.settings
    return (settings.public_url or _own(request, settings)).rstrip("/")


def _own(request: Request, settings: Settings) -> str:
    scheme = "https" if settings.tls_certificate is not None else "http"
    host, port = request.scope.get("server") or (settings.host, settings.port)
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" if port in (_PORTS[scheme], None) else f"{scheme}://{name}:{port}"
