"""Bytes and messages that nobody has thought of: `python -m tests.fuzz`."""
