"""The newest version of the changelog is the package's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wampasgi import __version__

CHANGELOG = Path(__file__).resolve().parent.parent / "CHANGELOG.md"
HEADING = re.compile(r"^## \[(?P<name>[^\]]+)\]", re.MULTILINE)


def disagreement(changelog: str, version: str) -> str | None:
    """Return what is wrong with ``version`` as the package's version, or None if the changelog agrees.

    The package has the newest numbered heading's version or, under an Unreleased heading, a later one.
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


def test_changelog_and_package_agree_on_the_version() -> None:
    assert disagreement(CHANGELOG.read_text(encoding="utf-8"), __version__) is None


RELEASED = "# Changelog\n\n## [0.2.0] - 2026-02-01\n\n## [0.1.0] - 2026-01-01\n"
UNRELEASED = RELEASED.replace("## [0.2.0]", "## [Unreleased]\n\n## [0.2.0]")


@pytest.mark.parametrize(
    ("changelog", "version"),
    [
        pytest.param("## [Unreleased]\n", "0.1.0", id="nothing released yet"),
        pytest.param(RELEASED, "0.2.0", id="just released"),
        pytest.param(UNRELEASED, "0.2.0", id="changes after a release"),
        pytest.param(UNRELEASED, "0.10.0", id="version raised before its release"),
    ],
)
def test_versions_that_agree(changelog: str, version: str) -> None:
    assert disagreement(changelog, version) is None


@pytest.mark.parametrize(
    ("changelog", "version", "problem"),
    [
        pytest.param("# Changelog\n", "0.1.0", "no heading", id="no version at all"),
        pytest.param(
            RELEASED, "0.3.0", "newest version in CHANGELOG.md 0.2.0", id="release without an entry"
        ),
        pytest.param(UNRELEASED, "0.1.0", "older than 0.2.0", id="package left behind"),
    ],
)
def test_versions_that_disagree(changelog: str, version: str, problem: str) -> None:
    assert problem in (disagreement(changelog, version) or "")
