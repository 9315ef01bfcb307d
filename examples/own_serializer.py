"""A serializer of one's own: JSON, compressed, in binary messages, as ``wamp.2.json-zlib``."""

from __future__ import annotations

import zlib
from typing import Any

from wampasgi import Application
from wampasgi.serializers import JSON

LONGEST = 1024 * 1024


class CompressedJSON:
    name = "json-zlib"
    binary = True

    def encode(self, message: list[Any]) -> bytes:
        return zlib.compress(JSON.encode(message).encode())

    def decode(self, data: str | bytes) -> object:
        assert isinstance(data, bytes)
        # A client may send a megabyte of zeros in a thousand bytes, and a gigabyte in a million.
        decompressor = zlib.decompressobj()
        text = decompressor.decompress(data, LONGEST)
        if not decompressor.eof or decompressor.unused_data:
            raise ValueError(f"it is cut short, goes on after its end or is longer than {LONGEST} bytes")
        return JSON.decode(text.decode())


app = Application(serializers=["json", CompressedJSON()])


@app.procedure("words.repeat")
async def repeat(word: str, times: int = 1) -> str:
    return " ".join([word] * times)
