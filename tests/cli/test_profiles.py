from __future__ import annotations

from pathlib import Path

import pytest

from wampasgi.cli.errors import CommandError, UsageError
from wampasgi.cli.profiles import configuration_file, read_profile


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "profiles.toml"
    monkeypatch.setenv("WAMPASGI_CONFIG", str(file))
    return file


def write(file: Path, text: str, mode: int = 0o600) -> None:
    file.write_text(text)
    file.chmod(mode)


def test_file_is_in_the_folder_for_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WAMPASGI_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert configuration_file() == tmp_path / "config" / "wampasgi.toml"

    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert configuration_file() == tmp_path / ".config" / "wampasgi.toml"


def test_missing_file_has_no_profiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WAMPASGI_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    assert read_profile("default", required=False) == {}
    with pytest.raises(UsageError, match=r"there is no profile 'x', because there is no file .*toml"):
        read_profile("x", required=True)


def test_file_that_a_variable_names_must_exist(file: Path) -> None:
    with pytest.raises(UsageError, match=f"{file} cannot be read: No such file"):
        read_profile("default", required=False)


def test_file_without_the_profile_is_explained(file: Path) -> None:
    write(file, "")

    with pytest.raises(UsageError, match=f"{file} has no profile 'x'. It has no profiles."):
        read_profile("x", required=True)


def test_file_may_begin_with_a_mark_of_its_encoding(file: Path) -> None:
    write(file, '\ufeff[a]\nrealm = "r"\n')

    assert read_profile("a", required=True) == {"realm": "r"}


@pytest.mark.parametrize(
    "secret",
    ['ticket = "t"', 'secret = "s"', f'private_key = "{"0a" * 32}"', "cookies = { session = 'x' }"],
)
@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_secrets_that_others_can_read_are_refused(file: Path, secret: str, mode: int) -> None:
    # A secret of another profile counts, too: the file is the same.
    write(file, f'[open]\nurl = "ws://a/"\n[closed]\n{secret}\n', mode)

    with pytest.raises(CommandError, match=f"chmod 600 {file}"):
        read_profile("open", required=True)


@pytest.mark.parametrize("reference", ['ticket = "@file"', 'secret = "-"', 'private_key = "key.txt"'])
def test_references_to_secrets_may_be_public(file: Path, reference: str) -> None:
    write(file, f"[open]\n{reference}\n", 0o644)

    assert len(read_profile("open", required=True)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a]\nrelm = 'x'", r"\[a\] in .* has an unknown key 'relm'. Did you mean 'realm'\?"),
        ("[a]\nrealm = 1", "realm of .* must be a text that is not empty"),
        ("[a]\nrealm = ''", "realm of .* must be a text that is not empty"),
        ("[a]\nticket = 't'\nsecret = 's'", r"\[a\] in .*: secret and ticket exclude each other"),
        ("[a]\nrealm = " + 5000 * "[", "is not valid TOML"),
        ("[a]\ncookies = 'x'", "cookies of .* must be a table of texts"),
        ("[a]\nheaders = { x = 1 }", "headers of .* must be a table of texts"),
        ("url = 'ws://a/'\n[a]", r"url in .* must be in a section, such as \[default\]"),
        ("[a", "is not valid TOML"),
    ],
)
def test_mistakes_in_the_file_are_explained(file: Path, text: str, message: str) -> None:
    write(file, text)

    with pytest.raises(UsageError, match=message):
        read_profile("a", required=True)


def test_file_that_cannot_be_read_is_explained(file: Path) -> None:
    file.mkdir()

    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read_profile("a", required=False)
