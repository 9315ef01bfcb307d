"""Fuzz the serializers, whole sessions and the transport on picows, one target after the other."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

#: The folder for the corpora, which are reused by later runs, and for failing inputs.
OUTPUT = Path(".fuzz")
#: The limits for one input: seconds and bytes.
TIMEOUT, MAX_LENGTH = 20, 4096


def main() -> int:
    """Run the command line. Returns 1 if an input fails or fuzzing is impossible, otherwise 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "targets", nargs="*", help="names of the table in docs/soak-and-fuzzing.md; default: all"
    )
    parser.add_argument("--seconds", type=int, default=60, help="duration for each target")
    options = parser.parse_args()
    try:
        from tests.fuzz.targets import TARGETS, seeds
    except ModuleNotFoundError as missing:
        if missing.name != "atheris":
            raise
        print(
            f"atheris is not installed for Python {sys.version.split()[0]}: pip install 'wampasgi[fuzz]' "
            "(wheels are available for Linux and some Python versions)",
            file=sys.stderr,
        )
        return 1
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(f"unknown target {', '.join(sorted(unknown))}: choose from {', '.join(TARGETS)}")
    wanted = options.targets or list(TARGETS)
    failed = [name for name in wanted if not fuzz(name, options.seconds, seeds(name))]
    print(f"fuzz: {', '.join(failed)} failed, see above and {OUTPUT}" if failed else "fuzz: no failures")
    return 1 if failed else 0


def fuzz(name: str, seconds: int, seeds: list[bytes]) -> bool:
    """Fuzz one target in a separate process and return whether all inputs passed."""
    corpus = OUTPUT / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    print(f"== {name} for {seconds} s", flush=True)
    arguments = [
        f"-max_total_time={seconds}",
        f"-timeout={TIMEOUT}",
        f"-max_len={MAX_LENGTH}",
        # Use long inputs from the start, because short ones make too few choices.
        "-len_control=0",
        f"-artifact_prefix={OUTPUT}/{name}-",
        "-verbosity=0",
        "-print_final_stats=1",
    ]
    command = [sys.executable, "-m", "tests.fuzz.targets", name, *arguments, str(corpus)]
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
