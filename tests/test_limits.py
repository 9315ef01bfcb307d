from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from wampasgi import ConfigurationError, Limits


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
@pytest.mark.parametrize("value", [0, -1, "10", None, True])
def test_limit_that_is_no_number_above_zero_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"Limits\.{name} is {value!r}"):
        Limits(**{name: value})


def test_limits_are_values() -> None:
    assert Limits(message_size=5) == Limits(message_size=5)
    assert Limits() != Limits(message_size=5)
