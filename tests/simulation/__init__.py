"""A simulation of one realm on several workers, with faults: `python -m tests.simulation --seconds 3600`."""
