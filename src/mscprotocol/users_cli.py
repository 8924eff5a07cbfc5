"""The commands `mscprotocol users`: who may log in to the pages, and in which roles."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from sqlalchemy.orm import Session

from mscprotocol.clients_cli import OPERATOR, opened_database
from mscprotocol.service import now
from mscprotocol.store import audit, users
from mscprotocol.store.tables import UserAccount
from mscprotocol.terminal import print_line, say

Name = Annotated[str, typer.Argument(help="Login name.")]

users_app = typer.Typer(no_args_is_help=True, help="The people who may log in to the pages.")


@users_app.command("add")
def add_user(
    name: Name,
    role: Annotated[list[str], typer.Option(help=f"{', '.join(users.ROLES)}; repeatable.")],
    full_name: Annotated[str, typer.Option(help="Name as it is printed beside a signature.")] = "",
) -> None:
    """Add a person; the password is asked for, or read as one line from standard input. The demo is closed by it."""
    password = _read_password()
    with opened_database() as database, database.writing() as session:
        at = now()
        try:
            user = users.add(session, at, name, full_name or name, role, password)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        audit.append(session, at, OPERATOR, "add user", f"User/{user.id}", {"roles": user.roles})
    say(f"{name} may log in as {', '.join(role)}")


@users_app.command("list")
def list_users() -> None:
    """Every person with roles, since when, and whether they may log in."""
    with opened_database() as database, database.reading() as session:
        for one in users.list_users(session):
            how = "password" if one.password_hash is not None else f"through {one.issuer}"
            state = f"disabled {one.disabled_at:%Y-%m-%d %H:%M}Z" if one.disabled_at is not None else how
            print_line(f"{one.name}  {one.full_name}  {one.roles}  since {one.made_at:%Y-%m-%d %H:%M}Z  {state}")


@users_app.command("disable")
def disable_user(name: Name) -> None:
    """End a person's access at once; what they did and signed stays under their name."""
    with opened_database() as database, database.writing() as session:
        at = now()
        user = _find(session, name)
        users.disable(session, at, user)
        audit.append(session, at, OPERATOR, "disable user", f"User/{user.id}")
    say("disabled, and logged out everywhere")


@users_app.command("roles")
def change_roles(
    name: Name,
    role: Annotated[list[str], typer.Option(help=f"{', '.join(users.ROLES)}; repeatable. All that hold from now on.")],
) -> None:
    """Put other roles in place of a person's, and end every session of theirs."""
    with opened_database() as database, database.writing() as session:
        user = _find(session, name)
        try:
            users.set_roles(session, user, role)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        audit.append(session, now(), OPERATOR, "change roles", f"User/{user.id}", {"roles": user.roles})
    say(f"{name} may log in as {user.roles}, and is logged out everywhere")


@users_app.command("password")
def set_password(name: Name) -> None:
    """Set a new password and end every session of the person; a lock ends too."""
    password = _read_password()
    with opened_database() as database, database.writing() as session:
        at = now()
        user = _find(session, name)
        try:
            users.set_password(session, user, password)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        audit.append(session, at, OPERATOR, "set password", f"User/{user.id}")
    say("set; the person is logged out everywhere")


def _find(session: Session, name: str) -> UserAccount:
    user = users.find(session, name)
    if user is None:
        raise typer.BadParameter("there is no user of that name; see: mscprotocol users list")
    return user


def _read_password() -> str:
    """Never an argument: arguments are seen by everybody on the machine."""
    if sys.stdin.isatty():
        typed: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return typed
    return sys.stdin.readline().rstrip("\r\n")
