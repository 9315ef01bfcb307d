"""Faults of real workers and engines under load, and checks of what clients see of them."""
