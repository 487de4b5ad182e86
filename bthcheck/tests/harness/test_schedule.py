"""Which worker runs which claim: the longest first, no more workers than cores, and nothing lost with one that crashes."""

import itertools
import os
import random
from types import SimpleNamespace

import pytest

pytest.importorskip("xdist")

from bthcheck.harness.schedule import LongestFirst
from bthcheck.harness.settings import at_once
from bthcheck.harness.weights import FIXTURES, weight
from bthcheck.tests.harness.samples import CLAIMS


class Node:
    """A worker that begins a test only when it knows the next, or that there is none, as xdist's do."""

    def __init__(self, name):
        self.name = name
        self.queue = []
        self.shutting_down = False
        self.gateway = SimpleNamespace(id=name)

    def __repr__(self):
        return self.name

    def send_runtest_some(self, indices):
        assert not self.shutting_down
        self.queue += indices

    def shutdown(self):
        self.shutting_down = True

    @property
    def begins(self):
        return bool(self.queue) and (len(self.queue) > 1 or self.shutting_down)


class Config:
    """As much of pytest's configuration as a scheduler asks for."""

    option = None

    def getoption(self, name):
        return None

    def getvalue(self, name):
        return ["popen"] * 4 if name == "tx" else None


def scheduler(weights, workers, nodes=4, collected=None):
    made = LongestFirst(Config(), None, lambda: weights, workers)
    made.numnodes = nodes
    for number in range(nodes):
        node = Node(f"gw{number}")
        made.add_node(node)
        made.add_node_collection(node, list(weights) if collected is None else collected)
    made.schedule()
    return made


def play(made, seconds):
    """Run everything in simulated time; return the order of beginnings, who ran what, and when all was done."""
    now, running, began, who = 0.0, {}, [], {}
    while True:
        for node in made.nodes:
            if node not in running and node.begins:
                index = node.queue.pop(0)
                running[node] = (now + seconds[index], index)
                began.append(index)
                who.setdefault(node.name, []).append(index)
        if not running:
            return began, who, now
        node = min(running, key=lambda one: (running[one][0], one.name))
        now, index = running.pop(node)
        made.mark_test_complete(node, index, seconds[index])


def test_the_longest_begin_first_and_everything_runs_once():
    seconds = [3, 1, 50, 2, 40, 10, 30, 5]
    made = scheduler({f"t{i}": s for i, s in enumerate(seconds)}, 2)
    began, who, end = play(made, seconds)
    assert began[:2] == [2, 4]
    assert sorted(began) == list(range(8))
    assert set(who) == {"gw0", "gw1"}
    assert all(node.shutting_down for node in made.nodes)
    assert end <= sum(seconds) / 2 + max(seconds) / 2


@pytest.mark.parametrize("workers", [1, 2, 4, 9])
@pytest.mark.parametrize("tests", [1, 2, 3, 7, 35])
def test_any_number_of_claims_on_any_number_of_workers(tests, workers):
    draw = random.Random(tests)
    seconds = [draw.randint(1, 100) for _ in range(tests)]
    made = scheduler({f"t{i}": s for i, s in enumerate(seconds)}, workers)
    began, who, end = play(made, seconds)
    assert sorted(began) == list(range(tests))
    assert len(who) == min(workers, 4, tests)
    # Graham: no list is worse than all work shared out and the longest after it; a claim bound to a worker adds one more.
    assert end <= sum(seconds) / len(who) + 2 * max(seconds)


@pytest.mark.parametrize("victim", range(2))
def test_a_worker_that_crashes_is_replaced_by_one_that_stood_by(victim):
    seconds = [3, 1, 50, 2, 40, 10, 30, 5]
    made = scheduler({f"t{i}": s for i, s in enumerate(seconds)}, 2)
    node = made.nodes[victim]
    crashed = node.queue[0]
    assert made.remove_node(node) == f"t{crashed}"
    began, who, _ = play(made, seconds)
    assert sorted([crashed, *began]) == list(range(8))
    assert len(who) == 2


def test_what_is_not_all_claims_is_left_to_xdist():
    made = scheduler({"t0": 1, "t1": 2}, 1, collected=[f"t{i}" for i in range(16)])
    assert all(node.queue for node in made.nodes)
    began, _, _ = play(made, [1] * 16)
    assert sorted(began) == list(range(16))
    assert not scheduler({}, 1, collected=[]).pending


@pytest.mark.parametrize(
    ("workers", "cores", "runs"), [(1, 1, 1), (1, 8, 8), (4, 8, 2), (3, 8, 2), (8, 8, 1), (4, 2, 2), (4, 1, 4), (16, 4, 4)]
)
def test_no_core_is_idle_while_others_stand_by(workers, cores, runs):
    assert at_once(workers, cores) == runs
    assert runs * min(workers, cores) <= max(workers, cores)  # no more at once than were asked for or have a core


def test_what_trains_more_weighs_more():
    every = [weight(names) for names in itertools.accumulate(([name] for name in FIXTURES), list.__add__)]
    assert every == sorted(every)
    assert every[-1] == sum(FIXTURES.values()) == weight([*FIXTURES, *FIXTURES, "evidence"])
    assert weight(["evidence"]) == 0


WHO = """

@pytest.fixture(autouse=True)
def who(worker_id):
    with open("who", "a") as file:
        print(worker_id, file=file)
"""
ONE_CORE = """
import os

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
pytest_plugins = ["bthcheck.pytest_plugin"]
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores can be taken from a process on Linux alone")
def test_no_more_workers_than_cores_run_claims_and_all_of_them_report(claims):
    """Whichever workers ran, the session is the same as without any."""
    ran = claims(CLAIMS + WHO, "-n", "3", conftest=ONE_CORE)
    assert len(set((claims.folder / "who").read_text().split())) == 1
    assert ran.statuses == {"UP": "supported", "DOWN": "refuted", "NOISE": "inconclusive", "EXACT": "supported"}
