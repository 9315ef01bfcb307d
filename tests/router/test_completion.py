from __future__ import annotations

from wampasgi.router.completion import Completion


def test_callbacks_are_called_when_the_operation_is_complete() -> None:
    completion: Completion[bool] = Completion()
    calls: list[bool | None] = []
    completion.then(lambda: calls.append(completion.result))
    assert calls == []
    completion.finish(False)
    assert completion.done
    assert calls == [False]


def test_callback_of_a_complete_operation_is_called_at_once() -> None:
    completion: Completion[str] = Completion()
    completion.finish("result")
    calls: list[str | None] = []
    completion.then(lambda: calls.append(completion.result))
    assert calls == ["result"]
