"""Serves one app on a free port, and prints the port.

Usage: ``python -m benchmarks.serve MODULE CORE``. A negative core means any core.
"""

from __future__ import annotations

import importlib
import os
import sys

import uvicorn


def main() -> None:
    module, core = sys.argv[1], int(sys.argv[2])
    if core >= 0:
        os.sched_setaffinity(0, {core})
    app = importlib.import_module(module).app
    config = uvicorn.Config(app, port=0, log_level="critical", access_log=False)
    socket = config.bind_socket()
    # The socket queues connections that arrive before the server accepts them.
    socket.listen(config.backlog)
    print(socket.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[socket])


if __name__ == "__main__":
    main()
