"""Transports: kinds of connections that carry WAMP messages."""
