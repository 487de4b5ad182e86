"""Executors that fail as they are told to, so that tests need no machine that breaks."""

import copy
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np


class Fake:
    """An executor with threads for workers.

    schedule : what becomes of the first tasks, the second, …; of all others "train"
    answer : what becomes of the facts that a worker says of itself
    """

    def __init__(self, *schedule, workers=2, answer=lambda facts: facts):
        self._max_workers = workers
        self._threads = ThreadPoolExecutor(workers)
        self._lock = threading.Lock()
        self.schedule, self.answer = list(schedule), answer
        self.tasks, self.futures, self.most = 0, [], 0
        self.says_what_is_begun = True

    def submit(self, function, *arguments):
        if function is eval:
            return self._threads.submit(lambda: self.answer(copy.deepcopy(eval(*arguments))))
        with self._lock:
            what = self.schedule[self.tasks] if self.tasks < len(self.schedule) else "train"
            self.tasks += 1
        if what == "refuse":
            raise RuntimeError("cannot schedule new futures after shutdown")
        future = Future()
        self.futures.append(future)
        self.most = max(self.most, sum(not one.done() for one in self.futures))
        if what != "never":
            self._threads.submit(self._work, future, what, function, *arguments)
        return future

    def _work(self, future, what, function, *arguments):
        if future.cancelled() or (self.says_what_is_begun and not future.set_running_or_notify_cancel()):
            return
        if isinstance(what, BaseException):
            future.set_exception(what)
        elif what == "lose":  # as Dask says it of a task whose scheduler it has lost
            future._state = "PENDING"
            future.cancel()
        elif what == "break":
            future.set_exception(BrokenProcessPool("A process in the process pool was terminated abruptly"))
        else:
            found = function(*arguments)
            found["facts"] = self.answer(copy.deepcopy(found["facts"]))
            found = found if what == "train" else what(found)
            if not future.cancelled():
                future.set_result(found)


def failed(found):
    return {"facts": found["facts"], "failed": "ZeroDivisionError: division by zero"}


def refused(found):
    return {"facts": found["facts"], "refused": "has another bthcheck, 9 with code abc on there, than the 0 with code def here"}


def short_of_memory(found):
    return {"facts": found["facts"], "failed": "MemoryError: Unable to allocate 9 TiB"}


def another(change):
    """Return results in which something was changed."""

    def changed(found):
        (statistics, parameters, diverged, seconds), *rest = found["results"]
        return {**found, "results": [change(dict(statistics), parameters, diverged, seconds), *rest]}

    return changed


GARBAGE = {
    "a number": lambda found: 3,
    "nothing": lambda found: None,
    "no facts": lambda found: {"results": found["results"]},
    "one run too few": lambda found: {**found, "results": []},
    "a statistic missing": another(lambda s, p, d, t: (s.pop("trajectory_length") is None or s, p, d, t)),
    "one epoch too few": another(lambda s, p, d, t: ({name: values[:-1] for name, values in s.items()}, p, d, t)),
    "single precision": another(lambda s, p, d, t: ({name: np.float32(values) for name, values in s.items()}, p, d, t)),
    "other parameters": another(lambda s, p, d, t: (s, p[:-1], d, t)),
    "no time": another(lambda s, p, d, t: (s, p, d, float("nan"))),
    "maybe diverged": another(lambda s, p, d, t: (s, p, 0, t)),
}
