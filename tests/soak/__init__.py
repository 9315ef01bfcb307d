"""A soak test with misbehaving sessions and healthy ones that must not notice: `python -m tests.soak`."""
