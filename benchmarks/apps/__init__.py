"""The apps under test; each is served by a process of its own."""
