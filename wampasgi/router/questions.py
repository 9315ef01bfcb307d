"""Questions that one node asks all others, and waits for their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from wampasgi.router.nodes import NodeId

#: Receives the answers by node, and False if the answer of a node is missing.
Done: TypeAlias = Callable[[dict[NodeId, Any], bool], None]


class Question:
    """A question to all other nodes. It is done when no node is left to answer it."""

    __slots__ = ("_answers", "_complete", "_done", "_questions", "encoded", "question_id", "realm", "waiting")

    def __init__(
        self, questions: Questions, question_id: int, realm: str, waiting: Iterable[NodeId], done: Done
    ) -> None:
        self._questions = questions
        self._done = done
        self._answers: dict[NodeId, Any] = {}
        self._complete = True
        self.question_id = question_id
        self.realm = realm
        #: The nodes that have not answered.
        self.waiting = set(waiting)
        #: The item that asks, to repeat it.
        self.encoded = b""

    def cancel(self) -> None:
        """Drop the question: ``done`` is not called any more."""
        self._questions.drop(self)

    def answered(self, node: NodeId, answer: Any) -> None:
        """Store the answer of a node. A second answer of the same node is ignored."""
        if node in self.waiting:
            self._answers[node] = answer
            self.skip(node, complete=True)

    def skip(self, node: NodeId, *, complete: bool) -> None:
        """Stop waiting for a node; ``complete`` is False if its answer is missing."""
        if node in self.waiting:
            self.waiting.discard(node)
            self._complete = self._complete and complete
            if not self.waiting:
                self.finish(complete=self._complete)

    def finish(self, *, complete: bool) -> None:
        """Report the answers that have arrived, once."""
        if self._questions.drop(self):
            self._done(self._answers, complete)


class Questions:
    """The questions of this node that wait for answers."""

    __slots__ = ("_last", "_open")

    def __init__(self) -> None:
        self._open: dict[int, Question] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._open)

    def open(self, realm: str, waiting: Iterable[NodeId], done: Done) -> Question:
        """Return a new question that waits for the answers of the given nodes."""
        self._last += 1
        question = Question(self, self._last, realm, waiting, done)
        self._open[self._last] = question
        return question

    def get(self, question_id: int) -> Question | None:
        """Return a question that is not done, or None."""
        return self._open.get(question_id)

    def drop(self, question: Question) -> bool:
        """Remove a question; return False if it was done or dropped before."""
        return self._open.pop(question.question_id, None) is not None

    def waiting_for(self, node: NodeId) -> list[Question]:
        """Return the questions that a node has not answered, oldest first."""
        return [question for question in self._open.values() if node in question.waiting]

    def skip(self, node: NodeId, *, complete: bool) -> None:
        """Stop waiting for a node in all questions; ``complete`` is False if its answers are missing."""
        for question in self.waiting_for(node):
            question.skip(node, complete=complete)

    def give_up(self) -> None:
        """Finish all questions with the answers that have arrived."""
        for question in list(self._open.values()):
            question.finish(complete=False)
