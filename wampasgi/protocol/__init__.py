"""The WAMP protocol without I/O: messages and their validation, IDs, URIs, session states, challenges."""
