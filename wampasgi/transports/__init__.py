"""The transports that carry WAMP messages."""
