"""The addresses of clients."""

from __future__ import annotations

from typing import Any

import pytest

from wampasgi.addresses import client_address, network_of


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (None, None),
        (("", 0), None),
        ((None, None), None),
        (("192.0.2.1", 50000), "192.0.2.1"),
        (["192.0.2.1", 0], "192.0.2.1"),
        (("192.0.2.1:50000", 0), "192.0.2.1"),
        (("2001:DB8:0:0::1", 50000), "2001:db8::1"),
        (("[2001:db8::1]:50000", 0), "2001:db8::1"),
        (("[2001:db8::1]", 0), "2001:db8::1"),
        (("::ffff:192.0.2.1", 50000), "192.0.2.1"),
        (("fe80::1%eth0", 50000), "fe80::1"),
    ],
)
def test_ip_address_has_one_form(client: Any, expected: str | None) -> None:
    assert client_address(client) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("testclient", "'testclient'"),
        ("/run/app.sock", "'/run/app.sock'"),
        ("192.0.2.1 on realm", "'192.0.2.1 on realm'"),
        ("192.0.2.999", "'192.0.2.999'"),
        ("1.2.3.4\nERROR forged", r"'1.2.3.4\nERROR forged'"),
        ("it's:1", '"it\'s:1"'),
        ("x" * 100, f"'{'x' * 60}'"),
        ("2001:db8::zz", "'2001:db8::zz'"),
    ],
)
def test_text_that_is_no_ip_address_is_quoted_escaped_and_truncated(host: str, expected: str) -> None:
    assert client_address((host, 1)) == expected


def test_zone_of_an_address_cannot_carry_text_into_the_log() -> None:
    assert client_address(("fe80::1%x\nERROR forged", 1)) == "fe80::1"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        (None, None),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("'no:address'", "'no:address'"),
        ('"it\'s:1"', '"it\'s:1"'),
    ],
)
def test_network_of_an_ipv6_address_is_its_64(address: str | None, network: str | None) -> None:
    assert network_of(address) == network
