"""The command line, as ``python -m wampasgi``."""

from __future__ import annotations

from wampasgi.cli import main

if __name__ == "__main__":
    main()
