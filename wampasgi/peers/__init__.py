"""One client as its realm sees it: session, identity, connection, and the wire side."""
