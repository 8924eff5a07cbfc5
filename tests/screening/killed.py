"""Runs a screening that kills itself (SIGKILL) at the n-th call of some function: `killed.py IN OUT MODULE NAME N`."""

import importlib
import os
import signal
import sys
from pathlib import Path

from tests.screening.exports import screen


def kill_at(module, name, number):
    home = importlib.import_module(module)
    real = getattr(home, name)
    calls = 0

    def counted(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    setattr(home, name, counted)


if __name__ == "__main__":
    source, out, module, name, number = sys.argv[1:]
    kill_at(module, name, int(number))
    screen(Path(source), Path(out))
