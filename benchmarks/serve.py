"""Serves one app on a free port, and prints the port and the process ID.

Usage: ``python -m benchmarks.serve MODULE TRANSPORT``. TRANSPORT is a value for uvicorn's ``--ws``.
"""

from __future__ import annotations

import importlib
import os
import sys

import uvicorn


def main() -> None:
    module, transport = sys.argv[1:]
    app = importlib.import_module(module).app
    config = uvicorn.Config(
        app, port=0, ws=transport, ws_max_size=2**18, log_level="critical", access_log=False
    )
    socket = config.bind_socket()
    # The socket queues connections that arrive before the server accepts them.
    socket.listen(config.backlog)
    print(socket.getsockname()[1], os.getpid(), flush=True)
    uvicorn.Server(config).run(sockets=[socket])


if __name__ == "__main__":
    main()
