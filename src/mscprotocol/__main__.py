"""`python -m mscprotocol` is the command `mscprotocol`."""

import signal
import sys


def main() -> None:
    """Run the command; Ctrl-C while it still loads ends it without a traceback."""
    try:
        from mscprotocol.cli import main as command  # noqa: PLC0415 - it takes a second, in which Ctrl-C may come
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)  # as a shell says it
    command()


if __name__ == "__main__":
    main()
