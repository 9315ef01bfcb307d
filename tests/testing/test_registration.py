"""Registrations of the test client's sessions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.testing.apps import Backend
from wampasgi import Application, RPCResult, Session, WAMPError
from wampasgi.testing import ExpectationFailed, SessionClosed, TestClient, Timeout


@pytest.fixture
def client(backend: Backend) -> Iterator[TestClient]:
    app = Application()
    app.allow_all()

    @app.procedure("documents.delete")
    async def delete(document_id: int, session: Session) -> Any:
        return await session.call("ui.confirm", f"Delete {document_id}?", really=True)

    with TestClient(app, backend=backend) as client:
        yield client


def test_session_answers_a_call_from_the_server(client: TestClient) -> None:
    with client.wamp_session() as session:
        questions = session.register("ui.confirm")
        call = session.start_call("documents.delete", 7)

        question = questions.next()
        assert (question.args, question.kwargs) == (["Delete 7?"], {"really": True})
        question.answer("yes", by="ann")
        assert call.result() == RPCResult(("yes",), {"by": "ann"})


def test_session_answers_a_call_from_another_session(client: TestClient) -> None:
    with client.wamp_session() as callee, client.wamp_session() as caller:
        lamps = callee.register("lamp.", match="prefix", options={"invoke": "roundrobin"})
        call = caller.start_call("lamp.kitchen.on")

        invocation = lamps.next()
        assert (invocation.args, invocation.kwargs) == ([], {})
        assert invocation.details["procedure"] == "lamp.kitchen.on"
        assert "lamp.kitchen.on" in repr(invocation)
        invocation.fail("lamp.broken", "kitchen", since=3)
        with pytest.raises(WAMPError) as error:
            call.result()
        assert (error.value.uri, error.value.args, error.value.kwargs) == (
            "lamp.broken",
            ("kitchen",),
            {"since": 3},
        )


def test_each_registration_gets_only_its_own_calls(client: TestClient) -> None:
    with client.wamp_session() as callee, client.wamp_session() as caller:
        ones, twos = callee.register("one"), callee.register("two")
        calls = [caller.start_call("one"), caller.start_call("two")]

        twos.next().answer(2)
        ones.next().answer(1)
        assert [call.result() for call in calls] == [1, 2]


def test_unregistered_procedure_gets_no_calls(client: TestClient) -> None:
    with client.wamp_session() as callee, client.wamp_session() as caller:
        registration = callee.register("one")
        registration.unregister()

        with pytest.raises(WAMPError, match="no_such_procedure"):
            caller.call("one")
        with pytest.raises(Timeout, match="a call of 'one'"):
            registration.next(timeout=0.01)
        with pytest.raises(WAMPError, match="no_such_registration"):
            registration.unregister()


def test_refused_registration_raises(client: TestClient) -> None:
    with client.wamp_session() as session, pytest.raises(WAMPError, match="procedure_already_exists"):
        session.register("documents.delete")


def test_progress_and_cancellation_reach_the_other_side(client: TestClient) -> None:
    with client.wamp_session() as callee, client.wamp_session() as caller:
        exports = callee.register("export")
        call = caller.start_call("export", options={"receive_progress": True})
        export = exports.next()
        export.progress(50, unit="%")
        assert call.next_progress() == RPCResult((50,), {"unit": "%"})

        call.cancel("kill")
        assert export.expect_interrupt().options["mode"] == "kill"
        export.fail("wamp.error.canceled", "half done")
        with pytest.raises(WAMPError, match=r"wamp\.error\.canceled: .*half done"):
            call.result()


def test_answer_after_the_end_of_the_session_fails(client: TestClient) -> None:
    with client.wamp_session() as session:
        calls = session.register("one")
        session.start_call("one")
        call = calls.next()
        session.goodbye()

        with pytest.raises(SessionClosed, match="it ended with GOODBYE"):
            call.answer(1)


def test_leaving_a_registration_unregisters(client: TestClient) -> None:
    with client.wamp_session() as session:
        with session.register("one") as calls:
            pending = session.start_call("one")
            calls.next().answer(1)
            assert pending.result() == 1

        with pytest.raises(WAMPError, match="no_such_procedure"):
            session.call("one")


def test_registration_that_the_server_ends_fails_a_wait(client: TestClient) -> None:
    with client.wamp_session() as session, session.register("one") as calls:
        session.call("wamp.registration.remove_callee", calls.registration_id, session.id)

        with pytest.raises(ExpectationFailed, match=r"a call of 'one' .* but the server ended it"):
            calls.next()


def test_only_the_canceled_call_is_interrupted(client: TestClient) -> None:
    with client.wamp_session() as callee, client.wamp_session() as caller:
        exports = callee.register("export")
        caller.start_call("export")
        canceled = caller.start_call("export")
        first, second = exports.next(), exports.next()
        canceled.cancel("kill", at_once=True)
        caller.settle()

        with pytest.raises(Timeout, match=r"INTERRUPT of Invocation\(.*not taken so far:\n  INTERRUPT"):
            first.expect_interrupt(timeout=0.01)
        assert second.expect_interrupt().request_id == second.request_id
