"""The router of a realm: URI matching, broker and dealer as synchronous state machines without I/O."""
