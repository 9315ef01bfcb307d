"""Many sessions that behave badly, beside some that must not notice: `python -m tests.soak`."""
