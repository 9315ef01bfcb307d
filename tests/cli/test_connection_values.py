from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Environment
from tests.cli.program import run
from tests.cli.running_program import Running
from tests.cli.served_app import SECRET, TICKET
from tests.clients.server_process import ServerProcess
from wampasgi.cli.connection_options import ConnectionOptions
from wampasgi.cli.connection_values import completed
from wampasgi.cli.errors import UsageError

Variables = dict[str, str]
WHOAMI = ("call", "whoami", "--realm", "members", "--authid", "ann", "-o", "raw")


def test_ticket_is_sent(at_server: Variables, tmp_path: Path) -> None:
    ended = run(*WHOAMI, "--ticket", TICKET, cwd=tmp_path, env=at_server)

    assert (ended.status, ended.stdout) == (0, "ann\n"), ended.stderr


def test_secret_is_used(at_server: Variables, tmp_path: Path) -> None:
    ended = run(*WHOAMI, "--secret", SECRET, cwd=tmp_path, env=at_server)

    assert (ended.status, ended.stdout) == (0, "ann\n"), ended.stderr


def test_private_key_comes_from_a_file(at_server: Variables, tmp_path: Path) -> None:
    key = tmp_path / "ann.key"
    key.write_text("01" * 32 + "\n")
    key.chmod(0o600)

    ended = run(*WHOAMI, "--private-key", "ann.key", cwd=tmp_path, env=at_server)

    assert (ended.status, ended.stdout, ended.stderr) == (0, "ann\n", "")


def test_secret_that_others_can_read_is_used_with_a_warning(at_server: Variables, tmp_path: Path) -> None:
    file = tmp_path / "ticket"
    file.write_text(f"{TICKET}\n")
    file.chmod(0o644)

    ended = run(*WHOAMI, "--ticket", "@ticket", cwd=tmp_path, env=at_server)

    assert (ended.status, ended.stdout) == (0, "ann\n")
    assert ended.stderr.startswith("warning: other users can read ticket")


def test_ticket_comes_from_standard_input(at_server: Variables, tmp_path: Path) -> None:
    ended = run(*WHOAMI, "--ticket", "-", stdin=f"{TICKET}\n".encode(), cwd=tmp_path, env=at_server)

    assert (ended.status, ended.stdout) == (0, "ann\n"), ended.stderr


def test_ticket_that_is_typed_is_not_shown(at_server: Variables, tmp_path: Path) -> None:
    with Running(*WHOAMI, "--ticket", "-", cwd=tmp_path, env=at_server, terminal=True) as program:
        program.wait_for("Ticket: ")
        program.type(TICKET)
        ended = program.end()

    assert (ended.status, ended.stdout) == (0, "Ticket: \nann\n")


def test_ctrl_c_at_the_prompt_for_a_ticket_ends_the_program(at_server: Variables, tmp_path: Path) -> None:
    with Running(*WHOAMI, "--ticket", "-", cwd=tmp_path, env=at_server, terminal=True) as program:
        program.wait_for("Ticket: ")
        program.interrupt()
        ended = program.end()

    assert (ended.status, ended.stdout.strip()) == (130, "Ticket:")


def test_cookies_headers_and_the_serializer_are_used(at_server: Variables, tmp_path: Path) -> None:
    ended = run(
        *("call", "session.identity", "--cookie", "flavour=sweet", "--header", "X-Test: yes"),
        *("--serializer", "msgpack"),
        cwd=tmp_path,
        env=at_server,
    )

    identity = json.loads(ended.stdout)
    assert (identity["cookie"], identity["header"]) == ("sweet", "yes")
    assert identity["subprotocol"] == "wamp.2.msgpack"


def test_options_come_from_the_environment(env: Environment, tmp_path: Path, server: ServerProcess) -> None:
    variables = env(
        WAMPASGI_URL=server.url,
        WAMPASGI_REALM="members",
        WAMPASGI_AUTHID="ann",
        WAMPASGI_TICKET=TICKET,
    )

    ended = run("call", "whoami", cwd=tmp_path, env=variables)

    assert (ended.status, ended.stdout) == (0, '"ann"\n'), ended.stderr


def test_credential_on_the_command_line_replaces_another_one(at_server: Variables, tmp_path: Path) -> None:
    variables = {**at_server, "WAMPASGI_SECRET": "wrong"}

    ended = run(*WHOAMI, "--ticket", TICKET, cwd=tmp_path, env=variables)

    assert (ended.status, ended.stdout) == (0, "ann\n"), ended.stderr


# Profiles


def write_profiles(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    file = tmp_path / ".config" / "wampasgi.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


def test_profile_has_all_options(env: Environment, tmp_path: Path, server: ServerProcess) -> None:
    write_profiles(
        tmp_path,
        f'[members]\nurl = "{server.url}"\nrealm = "members"\nauthid = "ann"\nticket = "{TICKET}"\n'
        f'[open]\nurl = "{server.url}"\nserializer = "cbor"\ncookies = {{ flavour = "sour" }}\n'
        'headers = { X-Test = "yes" }\n',
    )

    member = run("call", "whoami", "--profile", "members", cwd=tmp_path, env=env())
    guest = run("call", "session.identity", cwd=tmp_path, env=env(WAMPASGI_PROFILE="open"))

    assert (member.status, member.stdout) == (0, '"ann"\n'), member.stderr
    identity = json.loads(guest.stdout)
    assert identity["subprotocol"] == "wamp.2.cbor"
    assert (identity["cookie"], identity["header"]) == ("sour", "yes")


def test_default_profile_is_used_if_no_server_is_named(
    env: Environment, tmp_path: Path, server: ServerProcess
) -> None:
    write_profiles(tmp_path, f'[default]\nurl = "{server.url}"\n')

    ended = run("call", "math.add", "1", "2", cwd=tmp_path, env=env())

    assert (ended.status, ended.stdout) == (0, "3\n"), ended.stderr


@pytest.fixture
def profiles(tmp_path: Path, env: Environment) -> Path:
    assert env()["HOME"] == str(tmp_path)
    return write_profiles(
        tmp_path,
        '[default]\nurl = "ws://default.example/"\nticket = "t"\n'
        '[other]\nurl = "ws://other.example/"\nprivate_key = "key"\n',
    )


@pytest.mark.usefixtures("profiles")
def test_secrets_of_the_default_profile_do_not_go_to_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed(ConnectionOptions()).ticket == "t"
    assert completed(ConnectionOptions(url="ws://elsewhere.example/")).ticket is None
    assert completed(ConnectionOptions(app="main:app")).ticket is None
    monkeypatch.setenv("WAMPASGI_URL", "ws://elsewhere.example/")
    assert completed(ConnectionOptions()).ticket is None


@pytest.mark.usefixtures("profiles")
def test_named_profile_completes_the_options() -> None:
    options = completed(ConnectionOptions(profile="other", realm="r", url="ws://elsewhere.example/"))

    assert (options.url, options.realm, options.private_key) == ("ws://elsewhere.example/", "r", "key")


@pytest.mark.usefixtures("profiles")
def test_unknown_profile_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"has no profile 'othr'\. Did you mean 'other'\?"):
        completed(ConnectionOptions(profile="othr"))


@pytest.mark.parametrize("name", ["url", "app", "realm", "authid", "ticket", "private_key", "profile"])
def test_option_that_is_empty_is_a_usage_error(name: str) -> None:
    empty: dict[str, Any] = {name: ""}

    with pytest.raises(UsageError, match=f"^--{name.replace('_', '-')} is empty$"):
        completed(ConnectionOptions(**empty))


def test_empty_item_of_a_list_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"^--header is empty$"):
        completed(ConnectionOptions(url="ws://a/", header=["A: 1", ""]))


def test_values_that_are_no_text_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = os.fsdecode(b"hidden\xff")

    with pytest.raises(UsageError, match=r"^--ticket is not text in UTF-8$"):
        completed(ConnectionOptions(url="ws://a/", ticket=secret))
    monkeypatch.setenv("WAMPASGI_TICKET", secret)
    with pytest.raises(UsageError, match=r"^WAMPASGI_TICKET is not text in UTF-8$"):
        completed(ConnectionOptions(url="ws://a/"))


def test_several_credentials_are_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"^--secret and --ticket exclude each other"):
        completed(ConnectionOptions(url="ws://a/", ticket="t", secret="s"))
    monkeypatch.setenv("WAMPASGI_TICKET", "t")
    monkeypatch.setenv("WAMPASGI_PRIVATE_KEY", "k")
    with pytest.raises(UsageError, match=r"^WAMPASGI_PRIVATE_KEY and WAMPASGI_TICKET exclude each other"):
        completed(ConnectionOptions(url="ws://a/"))
    assert completed(ConnectionOptions(url="ws://a/", ticket="other")).private_key is None


def test_unknown_serializer_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"there is no serializer 'msgpck'\. Did you mean 'msgpack'\?"):
        completed(ConnectionOptions(url="ws://a/", serializer="msgpck"))


def test_server_and_app_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="--url and --app exclude each other"):
        completed(ConnectionOptions(url="ws://a/", app="main:app"))


def test_lists_in_the_environment_are_split(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "WAMPASGI_URL" not in env()
    monkeypatch.setenv("WAMPASGI_COOKIE", "a=1; b=2")
    monkeypatch.setenv("WAMPASGI_HEADER", "A: 1\nB: 2")
    monkeypatch.setenv("WAMPASGI_TICKET", "")

    options = completed(ConnectionOptions(url="ws://a/"))

    assert (options.cookie, options.header, options.ticket) == (["a=1", "b=2"], ["A: 1", "B: 2"], None)
