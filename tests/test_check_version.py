from __future__ import annotations

import pytest

from scripts.check_version import disagreement

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
