"""The WAMP protocol without I/O: messages, their rules, IDs, URIs, session states and challenges."""
