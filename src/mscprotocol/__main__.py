"""`python -m mscprotocol` is the command `mscprotocol`."""

from mscprotocol.cli import main

main()
