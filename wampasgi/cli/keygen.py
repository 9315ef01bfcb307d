"""The command ``wampasgi keygen``, which makes a key pair for cryptosign."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from wampasgi.cli.errors import CommandError, UsageError

_DEFAULT_FILE = Path("wampasgi.key")


def keygen(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file for the private key.")
    ] = _DEFAULT_FILE,
    public: Annotated[
        bool, typer.Option("--public", help="Only write the public key of an existing file.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Make a key pair for cryptosign.

    The private key goes to a file that only its owner can read, and the public key to standard output.
    """
    from wampasgi.cli.output import say, write_output

    try:
        from nacl.signing import SigningKey
    except ImportError as error:
        raise CommandError(
            'keys need the package PyNaCl. To install it, run\n\n    pip install "wampasgi[cryptosign]"'
        ) from error
    if public:
        from wampasgi.cli.secret_values import private_key

        key = SigningKey(bytes.fromhex(private_key(str(file)) or ""))
    else:
        key = SigningKey.generate()
        _write(file, bytes(key).hex(), force=force)
        say(f"The private key was written to {file}. This is the public key:")
    write_output(f"{bytes(key.verify_key).hex()}\n", None)


def _write(file: Path, text: str, *, force: bool) -> None:
    """Write a file that only its owner can read, from the beginning on."""
    temporary = file.with_name(f"{file.name}.new")
    target = temporary if force else file
    try:
        if force:
            temporary.unlink(missing_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(f"{text}\n")
        if force:
            temporary.replace(file)
    except FileExistsError as error:
        raise UsageError(f"{file} exists. To replace its key, which would be lost, pass --force") from error
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror or error}") from error
