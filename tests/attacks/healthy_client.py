"""A client that calls a procedure all the time and measures its longest call, in a process of its own.

It prints a line when its session is open. After the end of its standard input, it makes a last call, and
prints the number of its calls and the seconds that the longest took.
"""

from __future__ import annotations

import json
import select
import sys
import time

from tests.attacks.attacker import Attacker
from tests.specification import CALL, RESULT

#: Seconds between two calls, so that the client leaves the machine to the server and the attackers.
PAUSE = 0.002


def call(client: Attacker, request_id: int) -> float:
    """Make a call and return the seconds that it took."""
    started = time.monotonic()
    client.send_message(CALL, request_id, {}, "echo", [request_id])
    assert client.receive_message()[:4] == [RESULT, request_id, {}, [request_id]]
    return time.monotonic() - started


def main(port: int) -> None:
    with Attacker(port) as client:
        client.join()
        print("ready", flush=True)
        calls, longest, over = 0, 0.0, False
        while not over:
            over = bool(select.select([sys.stdin], [], [], PAUSE)[0])
            calls += 1
            longest = max(longest, call(client, calls))
    print(json.dumps([calls, longest]), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
