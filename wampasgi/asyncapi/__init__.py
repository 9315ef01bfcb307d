"""AsyncAPI documents, generated from the descriptions of realms.

A document describes the application as AsyncAPI sees it: clients send to a procedure, which the application
receives from, and the application sends the events of a topic.
"""

from __future__ import annotations

from wampasgi.asyncapi.document import (
    ASYNCAPI_VERSION,
    ASYNCAPI_VERSIONS,
    RealmFacts,
    asyncapi_document,
    server_object,
)

__all__ = [
    "ASYNCAPI_VERSION",
    "ASYNCAPI_VERSIONS",
    "RealmFacts",
    "asyncapi_document",
    "server_object",
]
