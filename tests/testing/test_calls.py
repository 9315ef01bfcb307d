"""Calls by the test client's sessions."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from wampasgi import RPCResult, WAMPError
from wampasgi.testing import ExpectationFailed, WAMPSession


@pytest.mark.parametrize(
    ("args", "kwargs", "result"),
    [
        ((), {}, None),
        ((1,), {}, 1),
        ((1, 2), {}, RPCResult((1, 2))),
        ((), {"a": 1}, RPCResult((), {"a": 1})),
    ],
)
def test_call_returns_the_result(
    session: WAMPSession, args: tuple[Any, ...], kwargs: dict[str, Any], result: object
) -> None:
    assert session.call("echo", *args, **kwargs) == result


def test_call_raises_the_error(session: WAMPSession) -> None:
    with pytest.raises(WAMPError) as caught:
        session.call("fail")

    assert (caught.value.uri, caught.value.args, caught.value.kwargs) == ("com.app.full", (3,), {"room": "a"})
    assert "procedure='fail'" in caught.value.__notes__[0]


def test_progress_is_reported_before_the_result(session: WAMPSession) -> None:
    reports: list[int] = []

    assert session.call("count", 3, on_progress=reports.append) == 3
    assert reports == [0, 1, 2]


def test_call_without_on_progress_gets_no_progress(session: WAMPSession) -> None:
    pending = session.start_call("count", 3)

    with pytest.raises(ExpectationFailed, match=r"progress of Call\(.*but got the final answer Result"):
        pending.next_progress()
    assert pending.result() == 3


def test_results_of_started_calls_can_be_taken_in_any_order(session: WAMPSession) -> None:
    first = session.start_call("count", 2, options={"receive_progress": True})
    second = session.start_call("math.add", 40, 2)

    assert second.result() == 42
    assert (first.next_progress(), first.next_progress()) == (0, 1)
    assert (first.result(), first.result()) == (2, 2)


@pytest.mark.parametrize("mode", ["skip", "kill", "killnowait"])
def test_call_is_cancelled(session: WAMPSession, mode: Literal["skip", "kill", "killnowait"]) -> None:
    pending = session.start_call("forever", on_progress=lambda report: None)
    assert pending.next_progress() == "begun"

    pending.cancel(mode)

    for _ in range(2):
        with pytest.raises(WAMPError, match=r"wamp.error.canceled"):
            pending.result()


def test_call_options_are_sent(session: WAMPSession) -> None:
    with pytest.raises(WAMPError, match=r"wamp.error.timeout"):
        session.call("forever", options={"timeout": 10})
