from __future__ import annotations

import pytest

from wampasgi.errors import PROTOCOL_VIOLATION, RemoteProtocolError
from wampasgi.protocol.messages import MESSAGE_NAMES, Call, Publish
from wampasgi.protocol.requests import SEQUENTIAL, PendingRequests, Request, RequestSequence


def test_requests_of_a_client_that_get_new_ids_share_the_sequence() -> None:
    names = {MESSAGE_NAMES[code] for code in SEQUENTIAL}

    assert names == {"PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", "CALL", "REGISTER", "UNREGISTER"}


def test_consecutive_ids_from_1_are_accepted() -> None:
    sequence = RequestSequence()

    for request_id in range(1, 100):
        sequence.check(request_id)


@pytest.mark.parametrize("request_id", [1, 2, 4, 2**53, None], ids=str)
def test_repeated_or_skipped_id_is_a_violation(request_id: int | None) -> None:
    sequence = RequestSequence()
    sequence.check(1)
    sequence.check(2)

    with pytest.raises(RemoteProtocolError) as raised:
        sequence.check(request_id)

    assert raised.value.message == f"request ID {request_id} is out of sequence, expected 3"
    assert raised.value.uri == PROTOCOL_VIOLATION


def test_sequence_does_not_start_at_another_id() -> None:
    with pytest.raises(RemoteProtocolError, match="request ID 0 is out of sequence, expected 1"):
        RequestSequence().check(0)


def test_sequences_of_two_clients_are_independent() -> None:
    one, other = RequestSequence(), RequestSequence()
    one.check(1)

    other.check(1)
    one.check(2)


def test_pending_request_is_taken_by_its_final_answer() -> None:
    pending: PendingRequests[str] = PendingRequests()
    first = pending.add(Request(Call.code, "first"))
    second = pending.add(Request(Publish.code, "second"))

    progressing = pending.take(Call.code, first, "RESULT", final=False)
    final = pending.take(Call.code, first, "RESULT")

    assert (first, second) == (1, 2)
    assert progressing is final
    assert final is not None
    assert final.target == "first"
    assert len(pending) == 1
    assert [request.target for request in pending.clear()] == ["second"]
    assert len(pending) == 0


@pytest.mark.parametrize(("code", "request_id"), [(Call.code, 2), (Publish.code, 1), (Call.code, 3)])
def test_answer_to_another_request_is_a_violation(code: int, request_id: int) -> None:
    pending: PendingRequests[str] = PendingRequests()
    pending.add(Request(Call.code, "call"))
    pending.add(Request(Publish.code, "publication"))

    with pytest.raises(RemoteProtocolError, match=rf"ANSWER\.Request must be .*, got {request_id}"):
        pending.take(code, request_id, "ANSWER")


def test_id_of_a_withdrawn_request_is_used_again() -> None:
    pending: PendingRequests[str] = PendingRequests()
    pending.add(Request(Call.code, "kept"))
    pending.withdraw(pending.add(Request(Call.code, "withdrawn")))

    assert pending.next_id() == 2
    assert len(pending) == 1


def test_second_answer_to_a_canceled_call_is_ignored() -> None:
    pending: PendingRequests[str] = PendingRequests()
    request_id = pending.add(Request(Call.code, "call"))
    pending.cancel(request_id)

    assert pending.take(Call.code, request_id, "ERROR") is not None
    assert pending.take(Call.code, request_id, "RESULT") is None


def test_only_the_latest_canceled_calls_are_remembered() -> None:
    pending: PendingRequests[str] = PendingRequests()
    for _ in range(1001):
        request_id = pending.add(Request(Call.code, "call"))
        pending.cancel(request_id)
        pending.take(Call.code, request_id, "ERROR")

    with pytest.raises(RemoteProtocolError):
        pending.take(Call.code, 1, "RESULT")
    assert pending.take(Call.code, 2, "RESULT") is None
