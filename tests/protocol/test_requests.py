from __future__ import annotations

import pytest

from wampasgi.errors import PROTOCOL_VIOLATION, RemoteProtocolError
from wampasgi.protocol.messages import MESSAGE_NAMES
from wampasgi.protocol.requests import SEQUENTIAL, RequestSequence


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
