from __future__ import annotations

import base64
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from wampasgi.errors import ConfigurationError
from wampasgi.protocol.challenges import (
    KDF,
    SCRAMCredential,
    SCRAMExchange,
    cra_challenge,
    cra_signature,
    cryptosign_verifier,
    derive_key,
    is_nonce,
    is_public_key,
    mock_salt,
    mock_scram_credential,
    salted_password,
    saslprep,
    scram_client_proof,
    scram_keys,
    scram_server_signature,
    verify_cra,
    verify_scram,
)

CHALLENGE = cra_challenge(
    session_id=3251278072152162,
    authid="peter",
    authrole="user",
    authprovider="userdb",
    nonce="LHRTC9zeOIrt_9U3",
    timestamp="2014-06-22T16:36:25.448Z",
)


# WAMP-CRA


def test_cra_challenge_has_the_fields_of_the_specification() -> None:
    assert json.loads(CHALLENGE) == {
        "authid": "peter",
        "authrole": "user",
        "authmethod": "wampcra",
        "authprovider": "userdb",
        "nonce": "LHRTC9zeOIrt_9U3",
        "timestamp": "2014-06-22T16:36:25.448Z",
        "session": 3251278072152162,
    }


def test_cra_signature_is_hmac_sha256_in_base64() -> None:
    # RFC 4231, test case 2.
    digest = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"

    signature = cra_signature("Jefe", "what do ya want for nothing?")

    assert base64.b64decode(signature).hex() == digest


@pytest.mark.parametrize(
    ("iterations", "key"),
    [
        # RFC 7914, section 11, truncated to 32 octets.
        (1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"),
        (80000, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"),
    ],
)
def test_derived_key_is_pbkdf2_with_sha256_in_base64(iterations: int, key: str) -> None:
    password, salt = ("passwd", "salt") if iterations == 1 else ("Password", "NaCl")

    assert base64.b64decode(derive_key(password, salt, iterations, 32)).hex() == key


def test_derived_key_has_the_requested_length() -> None:
    assert len(base64.b64decode(derive_key("secret", "salt", keylen=20))) == 20


def test_valid_cra_signature_is_accepted() -> None:
    assert verify_cra(CHALLENGE, cra_signature("secret", CHALLENGE), "secret")


@pytest.mark.parametrize(
    "signature",
    [
        cra_signature("Secret", CHALLENGE),
        cra_signature("secret", CHALLENGE.replace("peter", "paula")),
        cra_signature("secret", CHALLENGE)[:-1],
        cra_signature("secret", CHALLENGE) + "=",
        "",
        "\u20ac",
        "\ud800",
    ],
    ids=["other key", "other challenge", "truncated", "too long", "empty", "not ASCII", "surrogate"],
)
def test_invalid_cra_signature_is_refused(signature: str) -> None:
    assert not verify_cra(CHALLENGE, signature, "secret")


@pytest.mark.parametrize("model", ["0123456789abcdef", "c2FsdCBvZiBzb21lYm9keQ==", "NaCl"])
def test_mock_salt_looks_like_its_model_and_is_stable(model: str) -> None:
    salt = mock_salt(model, b"key", "nobody")

    assert len(salt) == len(model)
    assert salt == mock_salt(model, b"key", "nobody")
    assert salt not in (mock_salt(model, b"key", "no one"), mock_salt(model, b"other key", "nobody"))
    if model == "0123456789abcdef":
        assert set(salt) <= set(model)


# WAMP-SCRAM: the vector of RFC 7677, section 3

RFC_7677 = SCRAMExchange(
    authid="user",
    client_nonce="rOprNGfwEbeRWgbNEkqO",
    nonce="rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
    salt="W22ZaJ0SNY7soEsUEjb6gQ==",
    iterations=4096,
)
RFC_7677_PROOF = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
RFC_7677_SIGNATURE = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
RFC_7677_SALTED = salted_password(
    "pencil", kdf="pbkdf2", salt=base64.b64decode(RFC_7677.salt), iterations=RFC_7677.iterations
)


def test_scram_matches_the_vector_of_rfc_7677() -> None:
    stored_key, server_key = scram_keys(RFC_7677_SALTED)

    assert scram_client_proof(RFC_7677_SALTED, RFC_7677) == RFC_7677_PROOF
    assert verify_scram(RFC_7677, RFC_7677_PROOF, stored_key)
    assert scram_server_signature(RFC_7677, server_key) == RFC_7677_SIGNATURE


@pytest.mark.parametrize(
    "proof",
    [
        "",
        RFC_7677_PROOF[:-4],
        RFC_7677_PROOF[:-1],
        RFC_7677_PROOF.replace("V", "W"),
        # Different text for the same octets: the last two bits of Q are unused.
        RFC_7677_PROOF.replace("Q=", "R="),
        RFC_7677_PROOF + "AAAA",
        " " + RFC_7677_PROOF,
        "\u20ac",
        "\ud800",
        RFC_7677_SIGNATURE,
    ],
)
def test_invalid_scram_proof_is_refused(proof: str) -> None:
    stored_key, _ = scram_keys(RFC_7677_SALTED)

    assert not verify_scram(RFC_7677, proof, stored_key)


@pytest.mark.parametrize(
    "change",
    [
        {"authid": "User"},
        {"client_nonce": "rOprNGfwEbeRWgbNEkqP"},
        {"nonce": "rOprNGfwEbeRWgbNEkqO%"},
        {"salt": "W22ZaJ0SNY7soEsUEjb6gg=="},
        {"iterations": 4097},
        {"channel_binding": "eSws"},
    ],
    ids=str,
)
def test_scram_proof_of_another_exchange_is_refused(change: dict[str, object]) -> None:
    values = {name: getattr(RFC_7677, name) for name in RFC_7677.__slots__}
    stored_key, _ = scram_keys(RFC_7677_SALTED)

    assert not verify_scram(SCRAMExchange(**{**values, **change}), RFC_7677_PROOF, stored_key)


def test_scram_auth_message_escapes_the_authid() -> None:
    exchange = SCRAMExchange(authid="a=b,c", client_nonce="n", nonce="nm", salt="s", iterations=1)

    assert exchange.auth_message == "n=a=3Db=2Cc,r=n,r=nm,s=s,i=1,c=biws,r=nm"


def test_argon2id_matches_a_vector_of_the_reference_implementation() -> None:
    # test.c: version 0x13, t=2, m=2^16, p=1, "password", "somesalt"
    expected = "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"

    salted = salted_password("password", kdf="argon2id13", salt=b"somesalt", iterations=2, memory=65536)

    assert salted.hex() == expected


def test_password_is_normalized_before_it_is_salted() -> None:
    def salted(password: str) -> bytes:
        return salted_password(password, kdf="pbkdf2", salt=b"salt", iterations=1)

    assert salted("I\u00adX") == salted("\u2168") == salted("IX")


@pytest.mark.parametrize(
    ("kdf", "iterations", "memory", "problem"),
    [
        ("argon2id13", 1, None, "needs a memory cost"),
        ("argon2id13", 1, 1, "does not support iterations=1, memory=1 KiB and a salt of 4 octets"),
        ("argon2id-13", 1, 64, "unknown key derivation function 'argon2id-13'"),
        ("pbkdf2", 1, 64, "only argon2id13 has a memory cost"),
        ("pbkdf2", 0, None, "iteration"),
    ],
)
def test_invalid_costs_are_refused(kdf: KDF, iterations: int, memory: int | None, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        salted_password("password", kdf=kdf, salt=b"salt", iterations=iterations, memory=memory)


def test_missing_argon2_raises_an_error_with_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "argon2.low_level", None)

    with pytest.raises(ConfigurationError, match=r"install wampasgi\[scram\]"):
        salted_password("password", kdf="argon2id13", salt=b"somesalt", iterations=1, memory=64)


MODEL = SCRAMCredential(
    kdf="argon2id13",
    iterations=3,
    memory=64,
    salt=base64.b64encode(b"salt of 16 bytes").decode(),
    stored_key="c3RvcmVk",
    server_key="c2VydmVy",
)


def test_repr_of_a_credential_omits_the_keys() -> None:
    assert "c3RvcmVk" not in repr(MODEL)
    assert "c2VydmVy" not in repr(MODEL)


def test_mock_credential_has_the_costs_of_its_model_and_a_stable_salt() -> None:
    mock = mock_scram_credential(MODEL, b"key", "nobody")

    assert (mock.kdf, mock.iterations, mock.memory) == ("argon2id13", 3, 64)
    assert len(base64.b64decode(mock.salt)) == 16
    assert mock == mock_scram_credential(MODEL, b"key", "nobody")
    assert mock.salt not in (MODEL.salt, mock_scram_credential(MODEL, b"key", "no one").salt)
    assert mock.salt != mock_scram_credential(MODEL, b"other key", "nobody").salt
    assert len({mock.salt, mock.stored_key, mock.server_key, MODEL.stored_key}) == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("egVDf3DMJh0=", True),
        ("AAAA", True),
        ("", False),
        ("AAA", False),
        ("AAB=", False),
        ("AAAA AAAA", False),
        ("AAAA\n", False),
        ("AA,A", False),
        ("AA-_", False),
        (None, False),
        (5, False),
        (b"AAAA", False),
        (["AAAA"], False),
    ],
)
def test_nonce_is_canonical_base64(text: object, expected: bool) -> None:
    assert is_nonce(text) is expected


# Cryptosign: vectors of the specification, "Computing the Signature"

CRYPTOSIGN = [
    (
        "4d57d97a68f555696620a6d849c0ce582568518d729eb753dc7c732de2804510",
        "ff" * 32,
        "b32675b221f08593213737bef8240e7c15228b07028e19595294678c90d11c0cae80a357331bfc5cc9fb71081464e6e7"
        "5013517c2cf067ad566a6b7b728e5d03" + "ff" * 32,
    ),
    (
        "d511fe78e23934b3dadb52fcd022974b80bd92bccc7c5cf404e46cc0a8a2f5cd",
        "b26c1f87c13fc1da14997f1b5a71995dff8fbe0a62fae8473c7bdbd05bfb607d",
        "d4209ad10d5aff6bfbc009d7e924795de138a63515efc7afc6b01b7fe5201372190374886a70207b042294af5bd64ce7"
        "25cd8dceb344e6d11c09d1aaaf4d660fb26c1f87c13fc1da14997f1b5a71995dff8fbe0a62fae8473c7bdbd05bfb607d",
    ),
    (
        "6e1fde9cf9e2359a87420b65a87dc0c66136e66945196ba2475990d8a0c3a25b",
        "b05e6b8ad4d69abf74aa3be3c0ee40ae07d66e1895b9ab09285a2f1192d562d2",
        "7beb282184baadd08f166f16dd683b39cab53816ed81e6955def951cb2ddad1ec184e206746fd82bda075af03711d3d5"
        "658fc84a76196b0fa8d1ebc92ef9f30bb05e6b8ad4d69abf74aa3be3c0ee40ae07d66e1895b9ab09285a2f1192d562d2",
    ),
]


def public_key(private_key: str) -> str:
    return SigningKey(bytes.fromhex(private_key)).verify_key.encode().hex()


@pytest.mark.parametrize(("private_key", "challenge", "signature"), CRYPTOSIGN)
def test_cryptosign_accepts_the_vectors_of_the_specification(
    private_key: str, challenge: str, signature: str
) -> None:
    assert cryptosign_verifier()(challenge, signature, public_key(private_key))


@pytest.mark.parametrize(
    ("challenge", "signature", "key"),
    [
        (CRYPTOSIGN[1][1], CRYPTOSIGN[0][2], CRYPTOSIGN[0][0]),
        (CRYPTOSIGN[0][1], CRYPTOSIGN[0][2], CRYPTOSIGN[1][0]),
        (CRYPTOSIGN[0][1], CRYPTOSIGN[0][2][:-2], CRYPTOSIGN[0][0]),
        (CRYPTOSIGN[0][1], CRYPTOSIGN[0][2][:128], CRYPTOSIGN[0][0]),
        (CRYPTOSIGN[0][1], CRYPTOSIGN[0][2][:-2] + "fe", CRYPTOSIGN[0][0]),
        (CRYPTOSIGN[0][1], "00" + CRYPTOSIGN[0][2][2:], CRYPTOSIGN[0][0]),
        # The signature of the first challenge, followed by the second challenge.
        (CRYPTOSIGN[1][1], CRYPTOSIGN[0][2][:128] + CRYPTOSIGN[1][1], CRYPTOSIGN[0][0]),
        (CRYPTOSIGN[0][1], "", CRYPTOSIGN[0][0]),
        (CRYPTOSIGN[0][1], "\u20ac" * 192, CRYPTOSIGN[0][0]),
    ],
)
def test_cryptosign_refuses_invalid_signatures(challenge: str, signature: str, key: str) -> None:
    assert not cryptosign_verifier()(challenge, signature, public_key(key))


def test_cryptosign_accepts_upper_case_hex() -> None:
    private_key, challenge, signature = CRYPTOSIGN[0]

    assert cryptosign_verifier()(challenge, signature.upper(), public_key(private_key))


def test_missing_pynacl_raises_an_error_with_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nacl.signing", None)

    with pytest.raises(ConfigurationError, match=r"install wampasgi\[cryptosign\]"):
        cryptosign_verifier()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ab" * 32, True),
        ("AB" * 32, True),
        ("ab" * 31, False),
        ("ab" * 33, False),
        ("ab " * 32, False),
        ("0x" + "ab" * 31, False),
        (None, False),
        (b"ab" * 32, False),
    ],
)
def test_public_key_is_32_octets_in_hex(text: object, expected: bool) -> None:
    assert is_public_key(text) is expected


# SASLprep


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        # RFC 4013, section 3.
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        # Non-ASCII spaces become ASCII spaces.
        ("a\u00a0b\u3000c", "a b c"),
        ("\u0627\u0628", "\u0627\u0628"),
        ("\u06271\u0628", "\u06271\u0628"),
        ("", ""),
        ("caf\u0065\u0301", "caf\u00e9"),
    ],
)
def test_saslprep_normalizes_text(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        # RFC 4013, section 3.
        ("\u0007", r"U\+0007"),
        ("\u06271", "begin and end right-to-left"),
        ("\u0627a\u0628", "mixes right-to-left and left-to-right"),
        ("secret\u0080", r"U\+0080"),
        ("\ue000", r"U\+E000"),
        ("\ud800", r"U\+D800"),
        ("\ufffd", r"U\+FFFD"),
        ("\u2ff0", r"U\+2FF0"),
        ("\u200e", r"U\+200E"),
        ("\U000e0041", r"U\+E0041"),
        ("\ufdd0", r"U\+FDD0"),
    ],
)
def test_saslprep_error_names_the_character_but_not_the_password(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        saslprep(text)

    assert "secret" not in str(refused.value)


def test_saslprep_allows_unassigned_characters_only_in_lookups() -> None:
    rocket = "\U0001f680"

    assert saslprep(rocket, stored=False) == rocket
    with pytest.raises(ValueError, match=r"U\+1F680"):
        saslprep(rocket)


@given(st.text())
def test_saslprep_is_idempotent(text: str) -> None:
    try:
        prepared = saslprep(text)
    except ValueError:
        return
    assert saslprep(prepared) == prepared


@given(st.text(), st.text(), st.text())
def test_checks_never_raise(challenge: str, answer: str, key: str) -> None:
    stored_key, _ = scram_keys(b"salted")

    assert not cryptosign_verifier()(challenge, answer, key)
    assert not verify_scram(RFC_7677, answer, stored_key)
    assert not verify_cra(challenge, answer, key)
