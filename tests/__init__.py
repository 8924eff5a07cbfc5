"""The tests of mscprotocol."""
