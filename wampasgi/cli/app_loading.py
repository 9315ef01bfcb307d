"""Finds and imports the application that a command works on."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import tomllib
import traceback
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Final

from wampasgi.cli.errors import CommandError, UsageError, did_you_mean

if TYPE_CHECKING:
    from wampasgi.application import Application
    from wampasgi.cli.mounted import MountedApplication

#: The names of modules and of their attributes that are tried if nothing names the application.
MODULES: Final = ("main", "app")
ATTRIBUTES: Final = ("app", "application", "api")

_HOW_TO_NAME: Final = "Name the app, as in `myapp:app`"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedApplication:
    """An imported application.

    ``reference`` names the ASGI app, such as ``"myapp:app"``, for servers that import it themselves.
    ``asgi_app`` is the ASGI app, which mounts ``application`` or is the application itself.
    """

    reference: str
    asgi_app: Any
    application: Application


class ImportFailure(CommandError):
    """The module of the application raised an exception. The message has its traceback."""


def load_application(reference: str | None, folder: Path | None = None) -> LoadedApplication:
    """Import an application.

    ``reference`` is ``"module:attribute"``, or ``"module"`` if the attribute has a usual name. If it is None,
    the application is that of ``[tool.wampasgi] entrypoint`` in pyproject.toml, or one in ``main.py`` or
    ``app.py``. Modules are found in ``folder``, which is the current directory by default.

    Raises UsageError if there is no such application, or several, and ImportFailure if the module fails.
    """
    folder = Path.cwd() if folder is None else folder
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    if reference is None:
        reference = _configured_reference(folder / "pyproject.toml") or _usual_module(folder)
    _check_reference(reference)
    module_name, _, attribute = reference.partition(":")
    module = _import_module(module_name, folder)
    if not attribute:
        attribute = _usual_attribute(module)
    asgi_app = _attribute(module, attribute)
    application = _application_in(asgi_app, f"{module_name}:{attribute}", module)
    return LoadedApplication(
        reference=f"{module_name}:{attribute}", asgi_app=asgi_app, application=application
    )


# The reference


def _configured_reference(pyproject: Path) -> str | None:
    """Return the entrypoint of a pyproject.toml, or None if it has none."""
    try:
        settings = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{pyproject} cannot be read: {error}") from error
    section: Any = settings
    for name in ("tool", "wampasgi"):
        section = section.get(name, {})
        if not isinstance(section, dict):
            raise UsageError(f"{name} in {pyproject} must be a table, such as [tool.wampasgi]")
    entrypoint = section.get("entrypoint")
    if entrypoint is None:
        return None
    if not isinstance(entrypoint, str) or not entrypoint:
        raise UsageError(f'entrypoint of [tool.wampasgi] in {pyproject} must be a text such as "myapp:app"')
    return entrypoint


def _usual_module(folder: Path) -> str:
    for name in MODULES:
        if (folder / f"{name}.py").is_file():
            return name
    raise UsageError(
        f"there is no app: {folder} has no main.py or app.py. {_HOW_TO_NAME}, or set entrypoint in the "
        f"section [tool.wampasgi] of pyproject.toml."
    )


def _check_reference(reference: str) -> None:
    """Raise UsageError if the reference is a path, or is not of the form ``module:attribute``."""
    module, colon, attribute = reference.partition(":")
    if "/" in module or "\\" in module or module.endswith(".py"):
        dotted = module.removesuffix(".py").replace("\\", "/").strip("./").replace("/", ".")
        suggestion = f"{dotted}:{attribute}" if attribute else dotted
        raise UsageError(f"{reference!r} is a path. Did you mean {suggestion!r}?")
    names = [*module.split("."), *(attribute.split(".") if colon else [])]
    if not all(name.isidentifier() for name in names):
        raise UsageError(f"{reference!r} does not name an app. {_HOW_TO_NAME}.")


# The module


def _import_module(name: str, folder: Path) -> ModuleType:
    # The output of a command may be a document, in which the output of a module has no place.
    with redirect_stdout(sys.stderr):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise _import_failure(name, error) from error
            raise UsageError(_no_module(name, error.name, folder)) from error
        except (Exception, SystemExit) as error:
            raise _import_failure(name, error) from error


def _no_module(name: str, missing: str, folder: Path) -> str:
    """Return the message about a missing module, which may be a package around the module ``name``."""
    parent = missing.rpartition(".")[0]
    paths = list(sys.modules[parent].__path__) if parent in sys.modules else [str(folder)]
    siblings = [
        f"{parent}.{module.name}" if parent else module.name for module in pkgutil.iter_modules(paths)
    ]
    # The rest of the name may be right.
    rest = name.removeprefix(missing)
    place = f"in {parent}" if parent else f"in {folder}"
    advice = f"No similar module was found {place}."
    return f"there is no module {missing!r}." + did_you_mean(
        name, [sibling + rest for sibling in siblings], advice=advice
    )


def _import_failure(name: str, error: BaseException) -> ImportFailure:
    frames = _without_importing(error.__traceback__)
    text = "".join(traceback.format_exception(type(error), error, frames))
    return ImportFailure(f"{name} cannot be imported:\n\n{text.rstrip()}")


def _without_importing(frames: TracebackType | None) -> TracebackType | None:
    """Return a traceback without its first frames: those of this module and of Python's import system."""
    while frames is not None:
        file = frames.tb_frame.f_code.co_filename
        if file not in (__file__, importlib.__file__) and not file.startswith("<frozen importlib"):
            break
        frames = frames.tb_next
    return frames


# The attribute


def _usual_attribute(module: ModuleType) -> str:
    from wampasgi.cli.mounted import mounted_applications

    for name in ATTRIBUTES:
        if mounted_applications(getattr(module, name, None)):
            return name
    others = [f"{module.__name__}:{name}" for name in _names_of_applications(module)]
    if others:
        raise UsageError(f"choose an app of {module.__name__}: {' or '.join(others)}")
    raise UsageError(
        f"{module.__name__} has no wampasgi.Application, and no app that mounts one. {_HOW_TO_NAME}."
    )


def _names_of_applications(module: ModuleType) -> Iterator[str]:
    """Yield the names of a module's attributes that are applications or mount some."""
    from wampasgi.cli.mounted import mounted_applications

    for name, value in vars(module).items():
        if not name.startswith("_") and not isinstance(value, ModuleType) and mounted_applications(value):
            yield name


def _attribute(module: ModuleType, attribute: str) -> Any:
    value: Any = module
    for name in attribute.split("."):
        try:
            value = getattr(value, name)
        except AttributeError:
            names = [other for other in dir(value) if not other.startswith("_")]
            suggestion = did_you_mean(name, [*_names_of_applications(module), *names])
            owner = (
                module.__name__ if value is module else f"{module.__name__}:{attribute.rpartition('.')[0]}"
            )
            raise UsageError(f"{owner} has no attribute {name!r}.{suggestion}") from None
    return value


def _application_in(asgi_app: Any, reference: str, module: ModuleType) -> Application:
    from wampasgi.cli.mounted import mounted_applications

    found = mounted_applications(asgi_app)
    if len(found) == 1:
        return found[0].application
    if found:
        choices = "\n".join(f"  {_choice(mounted, module)}" for mounted in found)
        raise UsageError(f"{reference} mounts {len(found)} applications. Choose one of them:\n{choices}")
    raise UsageError(
        f"{reference} is not a wampasgi.Application, and no mounted one was found in it: it is "
        f"{_kind_of(asgi_app)}."
    )


def _choice(mounted: MountedApplication, module: ModuleType) -> str:
    names = [name for name, value in vars(module).items() if value is mounted.application]
    place = f"mounted at {mounted.path or '/'}"
    if names:
        return f"{module.__name__}:{names[0]} ({place})"
    return f"the one {place}, with the name of a module and variable that has it"


def _kind_of(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if callable(value) and hasattr(value, "__name__"):
        return f"the function {value.__name__}. If it creates the app, assign its result to a variable"
    kind = type(value)
    return f"an object of the class {kind.__module__}.{kind.__qualname__}"
