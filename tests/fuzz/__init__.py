"""Fuzzing with random bytes and messages: `python -m tests.fuzz`."""
