"""Fuzzing with random bytes, frames and messages: `python -m tests.fuzz`."""
