"""The commands `mscprotocol clients`: which programs may call the service, and with which scopes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from mscprotocol.service import now
from mscprotocol.serving import read_settings
from mscprotocol.settings import check_address
from mscprotocol.store import audit, clients
from mscprotocol.store.database import Database, open_database
from mscprotocol.store.tables import ApiClient
from mscprotocol.terminal import print_line, say
from mscprotocol.web.fetching import FetchError, fetch_json
from mscprotocol.web.keys import read_key_set
from mscprotocol.web.tokens import read_public_keys

OPERATOR = "operator"
Name = Annotated[str, typer.Argument(help="Name of the client.")]

clients_app = typer.Typer(no_args_is_help=True, help="Register the programs that may call the service.")


@clients_app.command("add")
def add_client(
    name: Name,
    scope: Annotated[list[str], typer.Option(help=f"What it may do: {', '.join(clients.SCOPES)}; repeatable.")],
    keys: Annotated[
        Path | None, typer.Option(help="Its public keys (JWKS): it asks for tokens with them and gets no API key.")
    ] = None,
    keys_url: Annotated[
        str | None,
        typer.Option(help="Where it publishes them (jwks_uri): they are fetched there when they are needed."),
    ] = None,
) -> None:
    """Register a client and print its API key, which is shown once and kept as a hash only; with its keys, its id."""
    if keys is not None and keys_url is not None:
        raise typer.BadParameter("give the keys of a client as a file or as an address, not both")
    jwks = None if keys is None else _read_keys(keys)
    if keys_url is not None:
        _try_address(keys_url)
    with opened_database() as database, database.writing() as session:
        at = now()
        try:
            client, key = clients.register(session, at, name, frozenset(scope), jwks, keys_url)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        audit.append(session, at, OPERATOR, "add client", f"Client/{client.id}", {"scopes": client.scopes})
    if key is None:
        say("The client's id: iss and sub of the assertions that it sends to /auth/token")
        typer.echo(client.id)
        return
    say("This key is shown once. Keep it secret; the client sends it as: Authorization: Bearer KEY")
    typer.echo(key)


@clients_app.command("list")
def list_clients() -> None:
    """Every client with its scopes, since when, and whether it was revoked."""
    with opened_database() as database, database.writing() as session:
        for one in clients.list_clients(session):
            state = f"revoked {one.revoked_at:%Y-%m-%d %H:%M}Z" if one.revoked_at is not None else "may call"
            print_line(f"{one.name}  {one.scopes}  since {one.made_at:%Y-%m-%d %H:%M}Z  {_proof_of(one)}  {state}")


@clients_app.command("revoke")
def revoke_client(name: Name) -> None:
    """End a client's access at once."""
    with opened_database() as database, database.writing() as session:
        at = now()
        client = clients.revoke(session, at, name)
        if client is None:
            raise typer.BadParameter("there is no client of that name; see: mscprotocol clients list")
        audit.append(session, at, OPERATOR, "revoke client", f"Client/{client.id}")
    say("revoked")


def _proof_of(client: ApiClient) -> str:
    """How it proves who it is."""
    if client.keys_url is not None:
        return f"keys at {client.keys_url}"
    return "API key" if client.jwks is None else "registered keys"


def _try_address(address: str) -> None:
    """Refuse an address that keys may not come from, and say whether they can be had there now."""
    try:
        check_address(address)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--keys-url") from error
    try:
        say(f"Keys at this address now: {len(read_key_set(fetch_json(address)).keys)}")
    except (FetchError, ValueError) as error:
        say(f"No keys at this address now: {error}. They are looked for when the client asks for a token.")


def _read_keys(file: Path) -> dict[str, Any]:
    try:
        return read_public_keys(file.read_bytes())
    except (OSError, ValueError) as error:
        text = f"{file.name} holds no keys that can be used: {error}"
        raise typer.BadParameter(text, param_hint="--keys") from error


@contextmanager
def opened_database() -> Iterator[Database]:
    """The database of this installation with its present tables."""
    database = open_database(read_settings().database_url)
    try:
        database.migrate()
        yield database
    finally:
        database.close()
