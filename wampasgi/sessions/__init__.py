"""Sessions while they are served: from HELLO to GOODBYE."""
