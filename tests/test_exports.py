from __future__ import annotations

import inspect
from types import ModuleType

import pytest

import wampasgi


def is_accident_of_import(name: str, value: object) -> bool:
    """Submodules and `from __future__ import annotations` leave names behind that nobody exported."""
    if isinstance(value, ModuleType):
        return value.__name__ == f"wampasgi.{name}"
    return type(value).__module__ == "__future__"


def test_all_lists_the_public_names_and_no_others() -> None:
    public = {
        name
        for name, value in vars(wampasgi).items()
        if not name.startswith("_") and not is_accident_of_import(name, value)
    }
    listed = {name for name in wampasgi.__all__ if name != "__version__"}

    assert listed == public


def test_all_is_sorted_and_lists_each_name_once() -> None:
    assert list(wampasgi.__all__) == sorted(set(wampasgi.__all__))


def test_star_import_gives_what_all_lists() -> None:
    namespace: dict[str, object] = {}
    exec("from wampasgi import *", namespace)

    assert set(namespace) - {"__builtins__"} == set(wampasgi.__all__)


# Values, such as the version, can't have a docstring of their own.
DOCUMENTED = [
    name
    for name in wampasgi.__all__
    if inspect.isclass(getattr(wampasgi, name)) or inspect.isroutine(getattr(wampasgi, name))
]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_public_name_has_its_own_docstring(name: str) -> None:
    text = getattr(wampasgi, name).__doc__  # a class's own: __doc__ is not inherited

    assert text, f"wampasgi.{name} has no docstring"
    # dataclass() writes the signature where the class says nothing
    assert not text.startswith(f"{name}("), (
        f"wampasgi.{name} has only the docstring that dataclass() gives it"
    )


@pytest.mark.parametrize("name", DOCUMENTED)
def test_public_name_documents_its_public_methods(name: str) -> None:
    value = getattr(wampasgi, name)
    undocumented = [
        member
        for member, function in vars(value).items()
        if not member.startswith("_")
        and (inspect.isroutine(function) or isinstance(function, property))
        and not inspect.getdoc(getattr(value, member))
    ]

    assert undocumented == []


def test_version_is_exported() -> None:
    assert wampasgi.__version__.count(".") == 2
