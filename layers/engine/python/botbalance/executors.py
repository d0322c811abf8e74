"""Executors: several things at a time where there are threads for it, else one after the other."""

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor


class SequentialExecutor(Executor):
    """Does at once what is submitted: a thread for one thing at a time takes longer to start than most things take."""

    def submit[**P, T](self, work: Callable[P, T], /, *args: P.args, **more: P.kwargs) -> Future[T]:
        """Do ``work``; what it returned or raised is in the future."""
        done: Future[T] = Future()
        try:
            done.set_result(work(*args, **more))
        except Exception as error:  # noqa: BLE001 - handed to whoever asks for the result
            done.set_exception(error)
        return done


def executor(threads: int) -> Executor:
    """For so many things at a time."""
    return SequentialExecutor() if threads == 1 else ThreadPoolExecutor(threads)
