"""The commands that serve over HTTP and say how an installation is set."""

from __future__ import annotations

import os
import ssl
from typing import Annotated

import typer
from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError
from sqlalchemy.engine import make_url

from fhir_adapters.mllp import server_tls
from mscprotocol.logs import configure_logs
from mscprotocol.settings import PREFIX, Settings
from mscprotocol.terminal import USAGE, say

_NAMES = {PREFIX + name.upper() for name in Settings.model_fields}
GRACE_SECONDS = 20
# Longer than proxies and clients keep a connection that is idle, so that it is they who close it, and never while the
# next request is on its way.
IDLE_SECONDS = 75


def serve_command(
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 if left out.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 8470 if left out, 0 takes a free one.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that serve.")] = 1,
) -> None:
    """Serve the API, the FHIR operations, CDS Hooks and the coordinator's pages until stopped."""
    import uvicorn

    for name, value in (("HOST", host), ("PORT", port)):
        if value is not None:
            os.environ[PREFIX + name] = str(value)  # each worker reads its settings from the environment
    settings = read_settings()
    if settings.tls_certificate is not None:
        make_tls()  # a wrong file ends the command with a line of its own
    if workers > 1:
        configure_logs()  # this process only watches over the others, and says where they listen
    uvicorn.run(
        "mscprotocol.web.app:application",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=workers,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # a caller's headers say nothing about where it is
        ssl_context_factory=None if settings.tls_certificate is None else make_tls,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def make_tls(*_: object) -> ssl.SSLContext:
    """The TLS of this server, as uvicorn asks for it in each process; a wrong file ends the command."""
    settings = read_settings()
    assert settings.tls_certificate is not None
    assert settings.tls_key is not None
    try:
        return server_tls(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
    except (OSError, ssl.SSLError) as error:
        say(f"{PREFIX}TLS_CERTIFICATE, _KEY, _CLIENT_CA: give PEM files that belong together, without a passphrase")
        raise typer.Exit(USAGE) from error


def settings_command() -> None:
    """Print every setting with its value and what it does; secrets only as set or not set."""
    settings = read_settings()
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        typer.echo(f"{PREFIX}{name.upper()} = {_show(name, value)}\n    {field.description}")


def _show(name: str, value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, SecretStr):
        return "set (not shown)"
    # An address of a database may hold a password.
    return make_url(str(value)).render_as_string(hide_password=True) if name == "database_url" else str(value)


def read_settings() -> Settings:
    """The settings of this process; a wrong one ends it with a line that says which and what to write."""
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in _NAMES)
    if unknown:
        say(f"there is no setting {', '.join(unknown)}: `mscprotocol settings` lists all there are")
        raise typer.Exit(USAGE)
    try:
        return Settings()
    except SettingsError as error:
        say(f"{PREFIX}…: {error}; write it as JSON")
        raise typer.Exit(USAGE) from error
    except ValidationError as error:
        for one in error.errors():
            where = "".join(f"{PREFIX}{part}: ".upper() for part in one["loc"][:1])
            say(f"{where}{one['msg'].removeprefix('Value error, ')}")
        raise typer.Exit(USAGE) from error
