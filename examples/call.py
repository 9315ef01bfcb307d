"""Call one procedure and print its answer: ``call.py ws://127.0.0.1:8000/ realm procedure [argument ...]``.

Arguments are JSON; what is not JSON is taken as text. ``name=value`` gives a keyword argument.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

WELCOME, RESULT = 2, 50
TIMEOUT = 10.0


def call(
    url: str, realm: str, procedure: str, args: list[Any], kwargs: dict[str, Any]
) -> tuple[bool, list[Any]]:
    """Join ``realm``, call ``procedure`` and return the last message and whether it is a RESULT."""
    with connect(url, subprotocols=[Subprotocol("wamp.2.json")], open_timeout=TIMEOUT) as connection:
        answer = _exchange(connection, [1, realm, {"roles": {"caller": {}}}])
        if answer[0] == WELCOME:
            answer = _exchange(connection, [48, 1, {}, procedure, args, kwargs])
        return answer[0] == RESULT, answer


def _exchange(connection: ClientConnection, message: list[Any]) -> list[Any]:
    connection.send(json.dumps(message))
    answer: list[Any] = json.loads(connection.recv(TIMEOUT))
    return answer


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def main(words: list[str]) -> int:
    """Read the command line, call, print."""
    if len(words) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    url, realm, procedure, *rest = words
    args, kwargs = [], {}
    for word in rest:
        if named := re.fullmatch(r"([A-Za-z_]\w*)=(.*)", word):
            kwargs[named[1]] = _value(named[2])
        else:
            args.append(_value(word))
    try:
        succeeded, message = call(url, realm, procedure, args, kwargs)
    except (OSError, TimeoutError, WebSocketException) as error:
        print(f"{url}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(message))
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
