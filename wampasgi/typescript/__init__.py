"""TypeScript for the clients of a realm, generated from the realm's description.

:func:`generate` returns the text of one file. It has the types of the realm's procedures, topics, errors and
models, and a function ``typed(session)`` that gives a session of autobahn-js or wampy these types.
"""

from wampasgi.typescript.generator import UntypedValueWarning, generate

__all__ = ["UntypedValueWarning", "generate"]
