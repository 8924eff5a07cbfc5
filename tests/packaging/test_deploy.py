"""The unit and container files say what the program is: its commands, options, settings, Python and locks; no root."""

from __future__ import annotations

import configparser
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from mscprotocol.cli import app
from mscprotocol.serving import GRACE_SECONDS
from mscprotocol.settings import PREFIX, Settings, is_loopback

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
CONTAINER = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
ENVIRONMENT = (DEPLOY / "mscprotocol.env").read_text(encoding="utf-8")
PYTHON = str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"])[2:]


def sections(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(path.read_text(encoding="utf-8"))
    return parser


def unit(path: Path) -> configparser.SectionProxy:
    return sections(path)["Service"]


def check_command(words: list[str]) -> None:
    """A command line of ours that the program would take, as far as names go."""
    assert Path(words.pop(0)).name == "mscprotocol"
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= options


def test_there_are_three_units() -> None:
    assert {path.stem for path in UNITS} == {"mscprotocol", "mscprotocol-listen", "mscprotocol-expire"}


def test_the_timer_starts_the_rule_of_retention() -> None:
    (path,) = DEPLOY.glob("*.timer")
    timer = sections(path)
    name = timer["Timer"]["Unit"]
    started = unit(DEPLOY / name)
    assert (name, started["Type"]) == (f"{path.stem}.service", "oneshot")
    assert started["ExecStart"].endswith("mscprotocol records expire"), (
        "by the setting, and by nothing that could drift"
    )
    assert (timer["Timer"]["Persistent"], timer["Install"]["WantedBy"]) == ("true", "timers.target")
    assert timer["Timer"]["OnCalendar"]
    assert "keep_days" in Settings.model_fields
    assert f"# {PREFIX}KEEP_DAYS=" in ENVIRONMENT, "nothing expires unless an operator says so"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_the_unit_starts_a_command_that_there_is(path: Path) -> None:
    service = unit(path)
    check_command(shlex.split(service["ExecStart"]))
    assert service["EnvironmentFile"] == "/etc/mscprotocol.env"
    assert int(service["TimeoutStopSec"]) > GRACE_SECONDS


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_the_unit_gives_the_process_nothing_it_does_not_need(path: Path) -> None:
    service = unit(path)
    assert service["User"] not in ("", "root")
    assert service["CapabilityBoundingSet"] == ""
    assert service["ProtectSystem"] == "strict"
    assert (service["StateDirectoryMode"], service["UMask"]) == ("0700", "0077")
    switches = ("NoNewPrivileges", "PrivateDevices", "PrivateTmp", "ProtectHome", "RestrictSUIDSGID", "LockPersonality")
    assert [name for name in switches if service[name] != "yes"] == []


def test_every_setting_that_is_named_exists_and_can_be_read() -> None:
    named = re.findall(rf"^(?:# )?{PREFIX}(\w+)=(.*)$", ENVIRONMENT, re.M)
    assert {name.lower() for name, _ in named} <= set(Settings.model_fields)
    active = {name.lower(): value for name, value in re.findall(rf"^{PREFIX}(\w+)=(.*)$", ENVIRONMENT, re.M)}
    settings = Settings.model_validate_strings(active)
    assert is_loopback(settings.host)
    assert settings.secret_key is None, "no secret lies in the repository"


def test_the_container_runs_as_nobody_special() -> None:
    last = CONTAINER.split("\nFROM ")[-1]
    users = re.findall(r"^USER (\S+)$", last, re.M)
    assert users == ["mscprotocol"]
    assert last.index("USER mscprotocol") < last.index("ENTRYPOINT")
    assert re.search(r"useradd --system --uid \d+ .*mscprotocol", last)
    assert not re.findall(rf"^ENV .*{PREFIX}HOST", CONTAINER, re.M), "loopback unless an operator says otherwise"


def test_the_container_installs_from_the_hash_locks() -> None:
    installed = re.findall(r"pip install (.*)", CONTAINER)
    locked, own = installed[:-1], installed[-1]
    assert all("--require-hashes" in one for one in locked)
    assert all((ROOT / name).is_file() for one in locked for name in re.findall(r"-r (\S+)", one))
    assert "--no-deps" in own
    assert "--no-build-isolation" in own


def test_the_container_copies_what_the_wheel_is_made_of_and_nothing_else() -> None:
    copied = [part for line in re.findall(r"^COPY (?!--)(.*) \S+$", CONTAINER, re.M) for part in line.split()]
    assert [one for one in copied if not (ROOT / one).exists()] == []
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert {one.split("/")[0] for one in wheel["wheel"]["only-include"]} <= set(copied)
    assert "." not in copied


def test_the_container_has_the_python_and_the_command_of_the_project() -> None:
    assert set(re.findall(r"^FROM docker\.io/library/python:([\d.]+)-slim", CONTAINER, re.M)) == {PYTHON}
    entry, command = (re.search(rf"^{name} \[(.*)\]$", CONTAINER, re.M) for name in ("ENTRYPOINT", "CMD"))
    assert entry is not None
    assert command is not None
    check_command([part.strip('" ') for part in f"{entry[1]},{command[1]}".split(",")])
    port = Settings.model_fields["port"].default
    assert f"EXPOSE {port}\n" in CONTAINER
    assert f"127.0.0.1:{port}/healthz" in CONTAINER
