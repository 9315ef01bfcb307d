"""Fail when the changelog and the package disagree on the newest version."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADING = re.compile(r"^## \[(?P<name>[^\]]+)\]", re.MULTILINE)


def disagreement(changelog: str, version: str) -> str | None:
    """Tell what is wrong with ``version`` as the package's, going by the headings of ``changelog``.

    Right is the newest numbered heading, or, for what is not released yet, a later version under an
    Unreleased heading. None when they agree.
    """
    names = HEADING.findall(changelog)
    unreleased = "Unreleased" in names[:1]
    released = [name for name in names if name != "Unreleased"]
    if not names:
        return "CHANGELOG.md has no heading of the form '## [Unreleased]' or '## [1.2.3] - 2026-01-31'"
    if released[:1] == [version]:
        return None
    if not unreleased:
        return (
            f"the package is {version}, the newest version in CHANGELOG.md {released[0]}: change one of them"
        )
    if released and _numbers(released[0]) > _numbers(version):
        return (
            f"the package is {version}, older than {released[0]} in CHANGELOG.md: raise wampasgi/_version.py"
        )
    return None


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def main() -> int:
    """Compare the two files of this checkout."""
    written = re.search(r'^__version__ = "(.+)"$', (ROOT / "wampasgi/_version.py").read_text(), re.MULTILINE)
    if written is None:
        print("wampasgi/_version.py has no line '__version__ = \"1.2.3\"'", file=sys.stderr)
        return 1
    problem = disagreement((ROOT / "CHANGELOG.md").read_text(), written[1])
    if problem is not None:
        print(problem, file=sys.stderr)
    return problem is not None


if __name__ == "__main__":
    sys.exit(main())
