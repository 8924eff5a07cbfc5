"""Many threads that read at once in a process that has read nothing yet: each is served, and the process lives."""

import subprocess
import sys

import pytest

# In a process of its own: what msgspec knows of a struct is written down once a process, and a race in it is a crash.
FIRST_AT_ONCE = """
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from fhir_adapters.bundle import read_bundle
from mscprotocol.sample_cases import find_samples

sys.setswitchinterval(1e-4)
contents = [(one.folder / "input.json").read_bytes() for one in find_samples()]
together = Barrier(16)

def read(number):
    together.wait()
    time.sleep(number / 1000)  # so that some make decoders while others already read
    return len(read_bundle(contents[number % len(contents)]).items)

with ThreadPoolExecutor(16) as pool:
    assert all(pool.map(read, range(16)))
"""


@pytest.mark.parametrize("time", range(3))
def test_the_first_requests_may_come_at_once(time: int) -> None:
    done = subprocess.run([sys.executable, "-c", FIRST_AT_ONCE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
