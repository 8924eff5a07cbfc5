"""The guide for integrators: its blocks run as they stand, but for ports and where the programs lie."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

from mscprotocol.definitions import Decision
from mscprotocol.knowledge import KnowledgeBase

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "connect.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", GUIDE, re.M | re.S)
PORTS = ("8470", "8471", "2575")
# What a reader does between the blocks: wait until what was started answers, and end it when all is done.
AROUND = r"""
set -euo pipefail
trap 'kill $(jobs -p)' EXIT
await() { for _ in $(seq 600); do (: < "/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.2; done; return 1; }
"""


def put_programs(folder: Path) -> str:
    """The programs that a reader has after installing; the `PATH` that finds them."""
    for name, command in (("mscprotocol", "-m mscprotocol"), ("python3", "")):
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n', encoding="utf-8")
        path.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def free_port() -> str:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return str(held.getsockname()[1])


def test_every_block_of_the_guide_runs(tmp_path: Path) -> None:
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    (tmp_path / "bin").mkdir()
    script = AROUND
    for block in BLOCKS:
        started = [port for port in PORTS if port in block.splitlines()[-1] and block.rstrip().endswith("&")]
        started += ["8470"] if block.rstrip().endswith("serve &") else []
        script += block + "".join(f"\nawait {port}\n" for port in started)
    ports = {port: free_port() for port in PORTS}
    for port, free in ports.items():
        script = script.replace(port, free)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MSCPROTOCOL_")}
    clean |= {"PATH": put_programs(tmp_path / "bin"), "MSCPROTOCOL_PORT": ports["8470"]}
    with (tmp_path / "said").open("w+b") as said, (tmp_path / "errors").open("w+b") as errors:
        ran = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=clean, stdout=said, stderr=errors, check=False)
    assert ran.returncode == 0, (tmp_path / "errors").read_text(encoding="utf-8")
    assert (tmp_path / "said").read_text(encoding="utf-8").split() == ["eligible", "draft", "info", "True"]


def test_the_guide_names_every_verdict(knowledge: KnowledgeBase) -> None:
    outlook = knowledge.definitions["outlook"]
    assert isinstance(outlook, Decision)
    assert all(f"`{verdict}`" in GUIDE for verdict in outlook.inputs["verdict"])
