"""Add a serializer: compressed JSON in binary messages, as ``wamp.2.json-zlib``."""

from __future__ import annotations

import zlib
from typing import Any

from wampasgi import Application
from wampasgi.serializers import JSON

LONGEST = 256 * 1024


class CompressedJSON:
    name = "json-zlib"
    binary = True

    def encode(self, message: list[Any]) -> bytes:
        return zlib.compress(JSON.encode(message).encode())

    def decode(self, data: str | bytes) -> object:
        assert isinstance(data, bytes)
        # A thousand compressed bytes can expand to a million.
        decompressor = zlib.decompressobj()
        text = decompressor.decompress(data, LONGEST)
        if not decompressor.eof or decompressor.unused_data:
            raise ValueError(f"the data is truncated, has trailing bytes, or expands to over {LONGEST} bytes")
        return JSON.decode(text.decode())


app = Application(serializers=["json", CompressedJSON()])


@app.procedure("words.repeat")
async def repeat(word: str, times: int = 1) -> str:
    return " ".join([word] * times)
