"""Chooses a realm of an application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wampasgi.cli.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from wampasgi.application import Application
    from wampasgi.realm import Realm


def check_realm(application: Application, uri: str | None) -> None:
    """Raise UsageError if the application has no realm with this URI."""
    realms = application.all_realms
    if uri is not None and uri not in realms:
        listed = ", ".join(realms) or "none"
        raise UsageError(
            f"the application has no realm {uri!r}.{did_you_mean(uri, realms)} Its realms are: {listed}."
        )


def chosen_realm(application: Application, uri: str | None) -> Realm:
    """Return the realm with this URI, or the only one with procedures or topics if ``uri`` is None.

    Raises UsageError if there is no such realm, or several.
    """
    check_realm(application, uri)
    realms = application.all_realms
    if uri is not None:
        return realms[uri]
    candidates = [realm for realm in realms.values() if _has_entries(realm)] or list(realms.values())
    if len(candidates) != 1:
        listed = ", ".join(realm.uri for realm in candidates) or "none"
        raise UsageError(f"choose a realm with --realm. The realms of the application are: {listed}.")
    return candidates[0]


def _has_entries(realm: Realm) -> bool:
    interface = realm.describe()
    return bool(interface.procedures or interface.topics)
