"""Authentication functions whose results are wrong let nobody in."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, NewType, Union

import pytest
from starlette.authentication import UnauthenticatedUser
from starlette.middleware import Middleware
from typing_extensions import TypeAliasType

from tests.auth.peers import (
    SECRET,
    Client,
    CRAClient,
    CryptosignClient,
    SCRAMClient,
    TicketClient,
    authenticate,
    find_argon2_credential,
    find_identity,
    find_keys,
    find_requirement,
    public_key,
    wire,
)
from tests.specification import ABORT, AUTHENTICATION_FAILED, WELCOME
from wampasgi import Application, ConfigurationError, Identity, Realm, RPCErrorResult, Session
from wampasgi.auth import (
    Accepted,
    Authenticate,
    ChallengeMiddleware,
    CRAMethod,
    CryptosignMethod,
    CustomAuthenticationMiddleware,
    SCRAMMethod,
    TicketMethod,
    TransportAuthenticationMiddleware,
)

#: The function as messages name it: its dotted name, its file and its line.
PLACE = r"tests\.auth\.test_results\.\S+ \(\S+test_results\.py:\d+\)"

FAILED = [ABORT, {"message": "authentication failed"}, AUTHENTICATION_FAILED]


@dataclass
class Anyone:
    """A client without a secret."""

    def hello(self) -> dict[str, Any]:
        return {"authid": "joe"}

    def answer(self, challenge: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        raise AssertionError("a transport authenticator sends no challenge")


@dataclass(frozen=True)
class Place:
    """A place where the application passes a function, and a client for which the function is called.

    ``middleware`` passes the function in the way without configuration methods.
    """

    use: Callable[[Realm, Any], None]
    middleware: Callable[[Any], Middleware]
    client: Callable[[], Client]


def challenging(method: Any) -> Middleware:
    return Middleware(ChallengeMiddleware, methods=[method])


#: The places where an identity is expected.
IDENTITIES = {
    "transport": Place(
        Realm.add_transport_authenticator,
        lambda fn: Middleware(TransportAuthenticationMiddleware, authenticators=[fn]),
        Anyone,
    ),
    "ticket": Place(
        Realm.set_ticket_authenticator, lambda fn: challenging(TicketMethod(fn)), partial(TicketClient, "joe")
    ),
    "wampcra": Place(
        lambda realm, fn: realm.set_cra_handlers(find_requirement, fn),
        lambda fn: challenging(CRAMethod(find_requirement, fn)),
        partial(CRAClient, "joe"),
    ),
    "wamp-scram": Place(
        lambda realm, fn: realm.set_scram_handlers(find_argon2_credential, fn),
        lambda fn: challenging(SCRAMMethod(find_argon2_credential, fn)),
        partial(SCRAMClient, "joe"),
    ),
    "cryptosign": Place(
        lambda realm, fn: realm.set_cryptosign_handlers(find_keys, fn),
        lambda fn: challenging(CryptosignMethod(find_keys, fn)),
        partial(CryptosignClient, "joe"),
    ),
}

#: The places where the secret of a user is expected.
SECRETS = {
    "requirement": Place(
        lambda realm, fn: realm.set_cra_handlers(fn, find_identity),
        lambda fn: challenging(CRAMethod(fn, find_identity)),
        partial(CRAClient, "joe"),
    ),
    "credential": Place(
        lambda realm, fn: realm.set_scram_handlers(fn, find_identity),
        lambda fn: challenging(SCRAMMethod(fn, find_identity)),
        partial(SCRAMClient, "joe"),
    ),
    "keys": Place(
        lambda realm, fn: realm.set_cryptosign_handlers(fn, find_identity),
        lambda fn: challenging(CryptosignMethod(fn, find_identity)),
        partial(CryptosignClient, "joe"),
    ),
}

CUSTOM = Place(
    Realm.set_authentication_handler,
    lambda fn: Middleware(CustomAuthenticationMiddleware, handler=fn),
    Anyone,
)

each_identity = pytest.mark.parametrize("place", IDENTITIES.values(), ids=IDENTITIES)
each_secret = pytest.mark.parametrize("place", SECRETS.values(), ids=SECRETS)
each_place = pytest.mark.parametrize(
    "place",
    [*IDENTITIES.values(), *SECRETS.values(), CUSTOM],
    ids=[*IDENTITIES, *SECRETS, "custom handler"],
)


async def answer_to(place: Place, function: Any) -> list[Any]:
    """Return the answer to a client that knows the secret: WELCOME or ABORT."""
    realm = Realm("office")
    place.use(realm, function)
    async with wire(Application([realm])) as connection:
        return await authenticate(connection, place.client())


def assert_one_line(caplog: pytest.LogCaptureFixture, *parts: str) -> None:
    """Assert that one error was logged, in one line that names the function and contains the parts."""
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    text = record.getMessage()
    assert "\n" not in text
    assert re.search(PLACE, text), text
    for part in parts:
        assert part in text
    assert SECRET not in text


class User:
    def __init__(self, *followers: str) -> None:
        self._followers = followers

    def __len__(self) -> int:
        return len(self._followers)


class Undecided:
    def __bool__(self) -> bool:
        return False


async def find_user() -> User:
    return User()


def users() -> Iterator[User]:
    yield User()


@pytest.mark.anyio
@each_identity
@pytest.mark.parametrize(
    ("make", "returned"),
    [
        (lambda: False, "returned False"),
        (lambda: True, "returned True"),
        (lambda: 0, "returned 0"),
        (lambda: -1, "returned -1"),
        (lambda: 0.9, "float"),
        (lambda: "", "an empty str"),
        (lambda: b"", "an empty bytes"),
        (tuple, "an empty tuple"),
        (list, "an empty list"),
        (dict, "an empty dict"),
        (set, "an empty set"),
        (lambda: User, "the class User"),
        (lambda: users, "function"),
        (users, "generator"),
        (lambda: iter(["joe"]), "list_iterator"),
        (lambda: find_user(), "coroutine"),
        (lambda: PermissionError(SECRET), "PermissionError"),
        (lambda: RPCErrorResult("com.example.no"), "RPCErrorResult"),
        (UnauthenticatedUser, "whose is_authenticated is False"),
        (lambda: Identity(user=False, authrole="member"), "an Identity whose user is False"),
    ],
)
async def test_result_that_is_no_identity_is_refused_and_logged(
    place: Place, make: Callable[[], object], returned: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def authenticator(session: Session) -> Any:
        return make()

    assert await answer_to(place, authenticator) == FAILED
    assert_one_line(caplog, "authenticator", returned, "must return an object that represents the user")


@pytest.mark.anyio
@each_identity
@pytest.mark.parametrize(
    "identity", ["joe", 7, {"name": "joe"}, User(), Undecided(), Identity(), Identity(authrole="member")]
)
async def test_any_object_of_the_application_is_an_identity(place: Place, identity: object) -> None:
    async def authenticator(session: Session) -> object:
        return identity

    assert (await answer_to(place, authenticator))[0] == WELCOME


class Table:
    """A container without a truth value, as of a library for arrays."""

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __bool__(self) -> bool:
        raise ValueError("the truth value is ambiguous")


@pytest.mark.anyio
@each_identity
async def test_result_that_cannot_be_checked_is_refused_and_logged(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    assert await answer_to(place, lambda session: Table()) == FAILED
    assert "the truth value is ambiguous" in caplog.text


@pytest.mark.anyio
async def test_later_transport_authenticators_are_not_called_after_a_wrong_result() -> None:
    realm = Realm("office")

    @realm.add_transport_authenticator
    async def wrong(session: Session) -> Any:
        return False

    @realm.add_transport_authenticator
    async def right(session: Session) -> str:
        return "joe"

    async with wire(Application([realm])) as connection:
        assert await connection.hello() == FAILED


@pytest.mark.anyio
@pytest.mark.parametrize("result", [True, False, "", [], "joe", Identity(authid="joe")])
@pytest.mark.parametrize("place", [SECRETS["requirement"], SECRETS["credential"]])
async def test_result_that_is_no_secret_is_refused_and_logged(
    place: Place, result: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def find(session: Session) -> Any:
        return result

    assert await answer_to(place, find) == FAILED
    assert_one_line(caplog, "find", ", or None for an unknown user")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("keys", "returned"),
    [
        (True, "returned True"),
        (False, "returned False"),
        (7, "an object of the type int"),
        (public_key("joe").encode(), "an object of the type bytes"),
        (bytearray.fromhex(public_key("joe")), "an object of the type bytearray"),
        ([bytes.fromhex(public_key("joe"))], "an object of the type list with an object of the type bytes"),
        ([public_key("joe"), None], "an object of the type list with None"),
        ([[public_key("joe")]], "an object of the type list with an object of the type list"),
        (CryptosignMethod, "the class CryptosignMethod"),
    ],
)
async def test_result_that_is_no_list_of_keys_is_refused_and_logged(
    keys: object, returned: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def find(session: Session) -> Any:
        return keys

    assert await answer_to(SECRETS["keys"], find) == FAILED
    assert_one_line(caplog, "find", returned, "must return the public keys in hex, a list of str")


@pytest.mark.anyio
@pytest.mark.parametrize("keys", [public_key("joe")[:-1], "0123456789abcdef", "", public_key("joe") * 2])
async def test_str_is_one_key_and_not_a_sequence_of_characters(keys: str) -> None:
    async def find(session: Session) -> str:
        return keys

    assert await answer_to(SECRETS["keys"], find) == FAILED


# Custom handlers and methods


@pytest.mark.anyio
@pytest.mark.parametrize("identity", [True, False, None, 0, "", {}, User])
async def test_mark_authenticated_raises_for_what_is_no_identity(
    identity: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def authenticate_by_mistake(session: Session) -> None:
        await session.mark_authenticated(identity, authrole="admin")

    assert await answer_to(CUSTOM, authenticate_by_mistake) == FAILED
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "authenticate_by_mistake failed for <Session" in record.getMessage()
    assert "which is not an identity: pass an object that represents the user" in record.getMessage()


@pytest.mark.anyio
async def test_mark_authenticated_without_an_identity_accepts_the_session() -> None:
    async def accept(session: Session) -> None:
        await session.mark_authenticated(authid="joe")

    welcome = await answer_to(CUSTOM, accept)

    assert (welcome[0], welcome[2]["authid"]) == (WELCOME, "joe")


@pytest.mark.anyio
@pytest.mark.parametrize("result", [True, False, "joe"])
async def test_handler_that_accepts_a_session_and_returns_something_is_refused_and_logged(
    result: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def accept(session: Session) -> Any:
        await session.mark_authenticated("joe")
        return result

    assert await answer_to(CUSTOM, accept) == FAILED
    assert_one_line(caplog, "accept", "must return nothing, and await session.mark_authenticated(...)")


class Method:
    """A challenge method of an application, whose exchanges return ``result``."""

    name = "ticket"
    extra: Mapping[str, Any] = {}

    def __init__(self, result: Any) -> None:
        self._result = result

    async def begin(self, session: Session) -> Method:
        return self

    async def verify(self, answer: Authenticate) -> Any:
        return self._result


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (True, "returned True: it must return Accepted(identity=...)"),
        (False, "returned False: it must return Accepted(identity=...)"),
        (Identity(authid="joe"), "it must return Accepted(identity=...)"),
        (Accepted, "returned the class Accepted: it must return Accepted(identity=...)"),
        (Accepted(identity=None), "returned an Accepted whose identity is None"),
        (Accepted(identity=True), "returned an Accepted whose identity is True"),
        (Accepted(identity={}), "returned an Accepted whose identity is an empty dict"),
    ],
)
async def test_wrong_result_of_an_exchange_is_refused_and_logged(
    result: object, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    realm = Realm("office")
    realm.add_challenge_method(Method(result))
    async with wire(Application([realm])) as connection:
        assert await authenticate(connection, TicketClient("joe")) == FAILED

    assert_one_line(caplog, "ticket authentication", "Method.verify", expected)


# Annotations


Verdict = TypeAliasType("Verdict", bool | None)
Known = NewType("Known", bool)


def annotated(annotation: Any) -> Callable[[Session], Any]:
    """Return a function with this return annotation: an object, or a string as a module may have it."""

    async def function(session: Session) -> Any:
        return None

    function.__annotations__["return"] = annotation
    return function


async def returns_bool(session: Session) -> bool:
    return True


def returns_bool_sync(session: Session) -> bool:
    return True


@functools.wraps(returns_bool)
async def returns_what_it_wraps(*args: Any, **kwargs: Any) -> Any:
    return await returns_bool(*args, **kwargs)


class Checker:
    async def check(self, session: Session) -> bool:
        return True

    async def __call__(self, session: Session) -> bool:
        return True


def check(place: Place, function: Any) -> None:
    realm = Realm("office")
    place.use(realm, function)
    Application([realm]).check()


@each_place
@pytest.mark.parametrize(
    "annotation",
    [
        bool,
        "bool",
        bool | None,
        "Identity | None | bool",
        Union[bool, None],  # noqa: UP007
        Annotated[bool, "verified"],
        Literal[True],
        "Literal[False] | None",
        Awaitable[bool],
        Coroutine[Any, Any, bool | None],
        "Awaitable[bool]",
        Verdict,
        Known,
    ],
    ids=str,
)
def test_bool_annotation_is_an_error_at_startup(place: Place, annotation: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"{PLACE} is annotated to return .*: it must return"):
        check(place, annotated(annotation))


@each_place
@pytest.mark.parametrize(
    "function",
    [
        returns_bool,
        returns_bool_sync,
        returns_what_it_wraps,
        partial(returns_bool),
        Checker().check,
        Checker(),
    ],
    ids=["async", "sync", "wrapper", "partial", "method", "callable object"],
)
def test_bool_annotation_of_any_callable_is_an_error(place: Place, function: Any) -> None:
    text = rf"{PLACE} is annotated to return bool: it must return"
    with pytest.raises(ConfigurationError, match=text):
        check(place, function)
    with pytest.raises(ConfigurationError, match=text):
        Application([Realm("office", middleware=[place.middleware(function)])]).check()


@each_identity
@pytest.mark.parametrize(
    "annotation",
    [type[User], "type", float, "float | None", Iterator[User], AsyncIterator[User], PermissionError],
    ids=str,
)
def test_annotation_of_what_is_no_identity_is_an_error_at_startup(place: Place, annotation: Any) -> None:
    with pytest.raises(ConfigurationError, match="it must return an object that represents the user"):
        check(place, annotated(annotation))


@each_identity
@pytest.mark.parametrize(
    "annotation",
    [
        None,
        Any,
        object,
        int | None,
        User,
        "Identity | None",
        dict[str, bool],
        Awaitable[User],
        Awaitable,
        Literal["joe"],
        # It cannot be resolved, as a name that only a type checker imports.
        "Decimal | None",
    ],
    ids=str,
)
def test_annotation_that_may_be_an_identity_is_accepted(place: Place, annotation: Any) -> None:
    check(place, annotated(annotation))


@each_place
def test_function_without_an_annotation_is_accepted(place: Place) -> None:
    check(place, lambda session: None)
