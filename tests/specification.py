"""The codes and URIs that the WAMP specification gives its messages, errors and reasons.

Tests compare against these. They do not come from wampasgi, so an error there cannot hide itself.
"""

from __future__ import annotations

HELLO, WELCOME, ABORT, CHALLENGE, AUTHENTICATE, GOODBYE, ERROR = 1, 2, 3, 4, 5, 6, 8
PUBLISH, PUBLISHED = 16, 17
SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE, UNSUBSCRIBED, EVENT = 32, 33, 34, 35, 36
CALL, CANCEL, RESULT = 48, 49, 50
REGISTER, REGISTERED, UNREGISTER, UNREGISTERED, INVOCATION, INTERRUPT, YIELD = 64, 65, 66, 67, 68, 69, 70

#: The greatest ID.
MAX_ID = 2**53

#: A regular expression for timestamps.
ISO_8601_UTC = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"

AUTHENTICATION_FAILED = "wamp.error.authentication_failed"
AUTHORIZATION_DENIED = "wamp.error.authorization_denied"
CANCELED = "wamp.error.canceled"
FEATURE_NOT_SUPPORTED = "wamp.error.feature_not_supported"
INVALID_ARGUMENT = "wamp.error.invalid_argument"
INVALID_URI = "wamp.error.invalid_uri"
NO_AVAILABLE_CALLEE = "wamp.error.no_available_callee"
NO_MATCHING_AUTH_METHOD = "wamp.error.no_matching_auth_method"
NO_SUCH_PROCEDURE = "wamp.error.no_such_procedure"
NO_SUCH_REALM = "wamp.error.no_such_realm"
NO_SUCH_REGISTRATION = "wamp.error.no_such_registration"
NO_SUCH_SUBSCRIPTION = "wamp.error.no_such_subscription"
NOT_AUTHORIZED = "wamp.error.not_authorized"
OPTION_DISALLOWED_DISCLOSE_ME = "wamp.error.option_disallowed.disclose_me"
PROCEDURE_ALREADY_EXISTS = "wamp.error.procedure_already_exists"
PROTOCOL_VIOLATION = "wamp.error.protocol_violation"
TIMEOUT = "wamp.error.timeout"
UNAVAILABLE = "wamp.error.unavailable"

CLOSE_REALM = "wamp.close.close_realm"
GOODBYE_AND_OUT = "wamp.close.goodbye_and_out"
SYSTEM_SHUTDOWN = "wamp.close.system_shutdown"
