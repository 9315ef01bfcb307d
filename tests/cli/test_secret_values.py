from __future__ import annotations

import io
from pathlib import Path

import pytest

from wampasgi.cli.errors import UsageError
from wampasgi.cli.secret_values import private_key, secret_value


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def write(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    file.chmod(0o600)


@pytest.mark.parametrize("given", [None, "", "text", "text @file"])
def test_other_texts_are_the_secret(given: str | None) -> None:
    assert secret_value("ticket", given) == given


def test_file_contains_the_secret(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "file", b"\xef\xbb\xbf two words\n")

    assert secret_value("ticket", "@file") == secret_value("ticket", "@~/file") == "two words"
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read: No such file"), (b"\xff", "contains no text"), (b"\n", "is empty")],
)
def test_file_without_a_secret_is_explained(content: bytes | None, message: str) -> None:
    if content is not None:
        write(Path("file"), content)

    with pytest.raises(UsageError, match=f"--private-key: file {message}"):
        private_key("file")


def give_input(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), encoding="ascii"))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_standard_input_has_the_secret_in_one_line(monkeypatch: pytest.MonkeyPatch, mark: bytes) -> None:
    give_input(monkeypatch, mark + "the sécret\r\nmore".encode())

    assert secret_value("secret", "-") == "the sécret"


def test_empty_standard_input_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    give_input(monkeypatch, b"\n")

    with pytest.raises(UsageError, match="--secret - reads a line from standard input, which is empty"):
        secret_value("secret", "-")


def test_secret_that_is_no_text_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    give_input(monkeypatch, b"hidden \xff\n")

    with pytest.raises(UsageError, match=r"^--secret - reads a text in UTF-8 from standard input$") as raised:
        secret_value("secret", "-")

    assert raised.value.__context__ is None or raised.value.__suppress_context__


@pytest.mark.parametrize("digits", [40, 63, 65])
def test_key_with_a_wrong_number_of_digits_is_not_shown(digits: int) -> None:
    with pytest.raises(
        UsageError, match=f"a key has 64 hexadecimal digits, but {digits} are given"
    ) as raised:
        private_key(digits * "b")

    assert "bbb" not in str(raised.value)


def test_home_folder_of_an_unknown_user_is_explained() -> None:
    with pytest.raises(
        UsageError, match="~nobody-here/x is in the home folder of a user that does not exist"
    ):
        secret_value("ticket", "@~nobody-here/x")


def test_private_key_may_be_given_itself(folder: Path) -> None:
    key = "0aF9" * 16
    write(folder / "key", f"{key}\n".encode())
    write(folder / "other", b"12")

    assert private_key(key) == private_key("key") == private_key("@key") == key
    assert private_key(None) is None
    with pytest.raises(UsageError, match="other has no private key"):
        private_key("other")
