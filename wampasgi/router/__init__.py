"""The router of a realm as synchronous state machines: URI matching, broker and dealer, without any I/O."""
