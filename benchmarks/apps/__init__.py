"""The apps that the benchmarks load; each is served by a process of its own."""
