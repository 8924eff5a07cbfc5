"""Servers as an operator starts them: processes of their own, whose whole output is kept."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Process:
    """A running server, its port, and all that it has written; complete once it has ended."""

    process: subprocess.Popen[bytes]
    port: int = 0
    written: list[bytes] = field(default_factory=list)
    is_ready: threading.Event = field(default_factory=threading.Event)

    @property
    def output(self) -> str:
        return b"".join(self.written).decode(errors="replace")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def follow(self, says_port: str) -> None:
        """Read what it writes until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.written.append(line)
            if self.port == 0 and (found := re.search(says_port.encode(), line)):
                self.port = int(found[1])
                self.is_ready.set()
        self.is_ready.set()

    def kill(self) -> None:
        """End it as a power failure would."""
        self.process.kill()
        self.process.wait()


SERVE = r"running on http://127\.0\.0\.1:(\d+)"
LISTEN = r"\"port\": (\d+)"


@contextmanager
def running(says_port: str, *command: str, **settings: str) -> Iterator[Process]:
    """`mscprotocol COMMAND` with these settings and no others; it ends in good order at the end of the block."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MSCPROTOCOL_")}
    environment |= {f"MSCPROTOCOL_{name.upper()}": value for name, value in settings.items()}
    started = Process(
        subprocess.Popen(
            [sys.executable, "-m", "mscprotocol", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    )
    reader = threading.Thread(target=started.follow, args=(says_port,), daemon=True)
    reader.start()
    try:
        assert started.is_ready.wait(120) and started.port, started.output
        yield started
        if started.process.poll() is None:
            started.process.send_signal(signal.SIGTERM)
            started.process.wait(60)
    finally:
        started.kill()
        reader.join(10)
        assert started.process.stdout is not None
        started.process.stdout.close()
