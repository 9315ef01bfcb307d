"""Fuzz the serializers and whole sessions with atheris, one target after the other."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

#: What fuzzing has come to know, kept from run to run, and the inputs that failed.
KEPT = Path(".fuzz")
#: Seconds that one input may take, and bytes that it may have.
TIMEOUT, MAX_LENGTH = 20, 4096


def main() -> int:
    """Fuzz as the command line says; the exit code is 1 where an input fails, or nothing can be fuzzed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help="all by default: each subprotocol, session and frames")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    options = parser.parse_args()
    try:
        from tests.fuzz.targets import TARGETS, seeds
    except ModuleNotFoundError as missing:
        if missing.name != "atheris":
            raise
        print(
            f"atheris is not installed for Python {sys.version.split()[0]}: pip install 'wampasgi[fuzz]' "
            "(it has wheels for Linux, and not for every Python)",
            file=sys.stderr,
        )
        return 1
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(f"there is no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    wanted = options.targets or list(TARGETS)
    failed = [name for name in wanted if not fuzz(name, options.seconds, seeds(name))]
    print(f"fuzz: {', '.join(failed)} failed, see above and {KEPT}" if failed else "fuzz: nothing found")
    return 1 if failed else 0


def fuzz(name: str, seconds: int, seeds: list[bytes]) -> bool:
    """Fuzz one target in a process of its own; returns whether nothing was found."""
    corpus = KEPT / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    print(f"== {name} for {seconds} s", flush=True)
    arguments = [
        f"-max_total_time={seconds}",
        f"-timeout={TIMEOUT}",
        f"-max_len={MAX_LENGTH}",
        # Long inputs from the start: short ones choose hardly anything.
        "-len_control=0",
        f"-artifact_prefix={KEPT}/{name}-",
        "-verbosity=0",
        "-print_final_stats=1",
    ]
    command = [sys.executable, "-m", "tests.fuzz.targets", name, *arguments, str(corpus)]
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
