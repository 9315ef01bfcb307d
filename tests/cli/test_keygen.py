from __future__ import annotations

import stat
from pathlib import Path

from nacl.signing import SigningKey

from tests.cli.conftest import Environment, Write
from tests.cli.program import run, run_process


def public_key_of(file: Path) -> str:
    return bytes(SigningKey(bytes.fromhex(file.read_text().strip())).verify_key).hex()


def test_private_key_is_written_for_its_owner_alone(env: Environment, tmp_path: Path) -> None:
    ended = run("keygen", "ann.key", cwd=tmp_path, env=env())

    file = tmp_path / "ann.key"
    assert ended.status == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert ended.stdout == f"{public_key_of(file)}\n"
    assert file.read_text().strip() not in ended.stdout + ended.stderr


def test_existing_file_is_kept(env: Environment, tmp_path: Path) -> None:
    (tmp_path / "wampasgi.key").write_text("precious")

    ended = run("keygen", cwd=tmp_path, env=env())

    assert (ended.status, ended.stdout) == (2, "")
    assert "wampasgi.key exists." in ended.stderr
    assert (tmp_path / "wampasgi.key").read_text() == "precious"


def test_existing_file_is_replaced_if_it_is_wanted(env: Environment, tmp_path: Path) -> None:
    file = tmp_path / "wampasgi.key"
    file.write_text("old")
    file.chmod(0o644)

    ended = run("keygen", "--force", cwd=tmp_path, env=env())

    assert ended.stdout == f"{public_key_of(file)}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.glob("*.new")) == []


def test_public_key_of_an_existing_file_is_written(env: Environment, tmp_path: Path) -> None:
    made = run("keygen", "a.key", cwd=tmp_path, env=env())
    shown = run("keygen", "--public", "a.key", cwd=tmp_path, env=env())

    assert (shown.status, shown.stdout, shown.stderr) == (0, made.stdout, "")


def test_missing_package_is_named(env: Environment, tmp_path: Path, write: Write) -> None:
    write("nacl/__init__.py", "raise ImportError")

    ended = run_process("keygen", cwd=tmp_path, env=env())

    assert (ended.status, ended.stdout) == (2, "")
    assert 'pip install "wampasgi[cryptosign]"' in ended.stderr


def test_file_without_a_key_is_explained(env: Environment, tmp_path: Path) -> None:
    file = tmp_path / "a.key"
    file.write_text("no key")
    file.chmod(0o600)

    wrong = run("keygen", "--public", "a.key", cwd=tmp_path, env=env())
    missing = run("keygen", "--public", "b.key", cwd=tmp_path, env=env())
    nowhere = run("keygen", "missing/a.key", cwd=tmp_path, env=env())

    assert wrong.status == missing.status == nowhere.status == 2
    assert "a.key has no private key" in wrong.stderr
    assert "b.key cannot be read: No such file or directory" in missing.stderr
    assert "cannot be written: No such file or directory" in nowhere.stderr
