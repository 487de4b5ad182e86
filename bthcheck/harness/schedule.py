"""Which worker runs which claim when: the longest first, on as many workers as there are cores.

A worker trains on a core of its own. One more than there are cores would share one, and spend seconds of it on what a claim
loads before it begins. It stands by, and takes over from one that crashes.
"""

from collections.abc import Callable, Mapping
from itertools import cycle
from typing import Any

import pytest
from xdist.scheduler import LoadScheduling


class LongestFirst(LoadScheduling):
    """Gives a worker one claim at a time, and the one to come after it, in the order of their weights.

    Parameters
    ----------
    weights : returns node id → weight of every claim, once the workers have collected them
    workers : how many run claims at a time
    """

    def __init__(self, config: pytest.Config, log: Any, weights: Callable[[], Mapping[str, int]], workers: int) -> None:
        super().__init__(config, log)
        self._weights = weights
        self._workers = workers
        self._is_ours = False

    def schedule(self) -> None:
        """Hand out the first claims; where there are other tests too, or none, as xdist does."""
        collected: list[str] = next(iter(self.node2collection.values()), [])
        weights = self._weights()
        if self.collection is not None or not collected or not set(collected) <= weights.keys():
            super().schedule()
            return
        if not self._check_nodes_have_same_collection():
            return
        self._is_ours = True
        self.collection: list[str] | None = collected
        self.pending[:] = sorted(range(len(collected)), key=lambda index: -weights[collected[index]])  # equal ones as they are
        active = self.nodes[: self._workers]
        if len(collected) < 2 * len(active):  # too few for each to know of one to come, which it then begins without
            for index, node in zip(list(self.pending), cycle(active), strict=False):
                self._send(node, [index])
        for node in active[: len(self.pending) // 2]:
            # To come after one of the longest, which another worker cannot take over any more, one of the shortest.
            self._send(node, [self.pending[0], self.pending[-1]])
        self._end_if_done()

    def check_schedule(self, node: Any, duration: float = 0) -> None:
        """Have every worker at work know the claim after the one that it is at: it begins with none before it does."""
        if not self._is_ours:
            super().check_schedule(node, duration)
            return
        if node.shutting_down:
            return
        at_work = [one for one in self.nodes if self.node2pending[one]]
        if node in at_work or len(at_work) < self._workers:
            self._send(node, self.pending[: max(0, 2 - len(self.node2pending[node]))])
        self._end_if_done()

    def _send(self, node: Any, indices: list[int]) -> None:
        if indices:
            self.pending[:] = [index for index in self.pending if index not in indices]
            self.node2pending[node].extend(indices)
            node.send_runtest_some(indices)

    def _end_if_done(self) -> None:
        """Tell workers to end after what they have, once there is nothing left to give to any."""
        if not self.pending:
            for node in self.nodes:
                if not node.shutting_down:
                    node.shutdown()
