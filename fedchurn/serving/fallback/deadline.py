"""Work with a deadline, though Python cannot interrupt it.

The work is done by threads of the runner's own; the caller waits no longer than the deadline. Work
that overran stays in its thread until it returns by itself. As long as it does, nothing new is
begun: a model that is stuck is not asked again, and no threads pile up behind it.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class DeadlineRunner:
    """Does work within ``timeout_seconds`` or gives up on it; safe from any thread.

    There are never more than ``max_threads`` threads; they begin when they are needed and end with
    the runner. Waiting for a free one counts towards the deadline.
    """

    def __init__(self, timeout_seconds: float, *, max_threads: int = 4) -> None:
        self._timeout_seconds = timeout_seconds
        self._crew = _Crew(max_threads)
        weakref.finalize(self, self._crew.dismiss)

    @property
    def num_overdue(self) -> int:
        """Pieces of work that overran and have not returned yet."""
        return self._crew.num_overdue

    @property
    def num_threads(self) -> int:
        """Threads begun so far."""
        return self._crew.num_threads

    def run(self, work: Callable[[], T]) -> T:
        """What ``work()`` returns or raises.

        Raises:
            TimeoutError: it took too long, or earlier work is still overdue and this was not begun.
        """
        if self._crew.num_overdue:
            raise TimeoutError("earlier work has not returned yet")
        task = _Task(work)
        self._crew.take(task)
        if task.done.acquire(timeout=self._timeout_seconds) or not self._crew.give_up(task):
            return task.outcome()
        raise TimeoutError(f"not done in {self._timeout_seconds} s")


class _Task(Generic[T]):
    __slots__ = ("abandoned", "done", "error", "finished", "result", "work")
    result: T

    def __init__(self, work: Callable[[], T]) -> None:
        self.work = work
        self.error: BaseException | None = None
        self.abandoned = False
        self.finished = False
        self.done = threading.Lock()
        self.done.acquire()

    def do(self) -> None:
        try:
            self.result = self.work()
        except BaseException as error:  # belongs to the caller, whatever it is
            self.error = error

    def outcome(self) -> T:
        if self.error is not None:
            raise self.error
        return self.result


class _Crew:
    """Threads and their queue; knows nothing of the runner, so that the runner can be collected."""

    def __init__(self, max_threads: int) -> None:
        self._max_threads = max_threads
        self._lock = threading.Lock()
        self._tasks: SimpleQueue[_Task[object] | None] = SimpleQueue()
        self._num_unfinished = 0
        self.num_threads = 0
        self.num_overdue = 0

    def take(self, task: _Task[T]) -> None:
        with self._lock:
            if self._num_unfinished >= self.num_threads < self._max_threads:
                threading.Thread(target=self._work, name="deadline", daemon=True).start()
                self.num_threads += 1
            self._num_unfinished += 1
        self._tasks.put(task)  # type: ignore[arg-type]  # results are only handed through

    def give_up(self, task: _Task[T]) -> bool:
        """Whether the task is late; False if it was finished at the last moment."""
        with self._lock:
            if not task.finished:
                task.abandoned = True
                self.num_overdue += 1
            return task.abandoned

    def dismiss(self) -> None:
        for _ in range(self.num_threads):
            self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            if not task.abandoned:
                task.do()
            with self._lock:
                task.finished = True
                self._num_unfinished -= 1
                self.num_overdue -= task.abandoned
            task.done.release()
            del task  # its rows are not kept until the next one comes
