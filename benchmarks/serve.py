"""Serves one app on a port that the system chooses, and prints that port.

``python -m benchmarks.serve MODULE CORE``; a core below zero leaves the choice to the system.
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
    # Whoever connects before the server accepts waits here.
    socket.listen(config.backlog)
    print(socket.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[socket])


if __name__ == "__main__":
    main()
