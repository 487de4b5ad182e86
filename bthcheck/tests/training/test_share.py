"""How much of a training is done, as engines say it."""

import threading

import numpy as np
import pytest

import bthcheck
from bthcheck.experiments import SINUSOIDS
from bthcheck.networks import MLP
from bthcheck.tasks import Sinusoid
from bthcheck.training import fused, reference, share, stacked
from bthcheck.training.runs import Run

TINY = SINUSOIDS.replace(
    task=Sinusoid(train=8, test=4),
    network=MLP((10, 10, 4, 1)),
    levels=(0.25, 1.0),
    seeds=range(2),
    epochs=12,
    lipschitz_every=6,
)
ENGINES = {
    "fused": lambda run: fused.train(run),
    "reference": lambda run: reference.train(run),
    "stacked": lambda run: stacked.train([run])[0],
}


class Watching:
    """An observer that looks how far each training is when it begins and when it is done."""

    def __init__(self):
        self.calls, self.shares = [], {}
        self.lock = threading.Lock()

    def start(self, total):
        self.calls.append(("start", total))

    def begin(self, runs, keys, share):
        with self.lock:
            self.calls.append(("begin", tuple(keys)))
            self.shares |= dict.fromkeys(keys, (share(), share))

    def finish(self, run, key, trained, seconds):
        with self.lock:
            self.calls.append(("finish", key))

    def wait(self, sentence):
        raise AssertionError(sentence)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_says_how_much_is_done(engine, monkeypatch):
    """Looked at whenever an epoch's rows are known, it grows from nought to one; nobody need be listening."""
    run = Run(TINY, 0.25, 0)
    plain = ENGINES[engine](run)
    seen = []
    follow = share.Share.follow

    def recording(self, look):
        seen.append(look)
        follow(self, look)

    monkeypatch.setattr(share.Share, "follow", recording)
    with share.followed() as done:
        assert done() == 0.0
        result = ENGINES[engine](run)
        assert 11 / 12 <= done() <= 1.0
    assert len(seen) == 1
    assert all(np.array_equal(plain.statistics[name], result.statistics[name], equal_nan=True) for name in plain.statistics)
    assert np.array_equal(plain.parameters, result.parameters)


def test_rows_that_are_filled_are_done():
    column = np.full(10, np.nan)
    with share.followed() as done:
        share.follow_rows(column)
        for count in range(11):
            assert done() == pytest.approx(count / 10)
            column[count : count + 1] = 1.0
    share.follow_rows(column)  # nobody listens
    assert done() == 1.0


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cached", [False, True], ids=["trained", "read"])
def test_an_observer_that_wants_to_is_told_when_runs_begin(engine, cached, tmp_path):
    if cached:
        bthcheck.run(TINY, engine=engine, cache=tmp_path, progress=False, threads=1)
    watching = Watching()
    result = bthcheck.run(TINY, engine=engine, cache=tmp_path, progress=watching, threads=1)
    assert result.identical(bthcheck.run(TINY, engine=engine, progress=False, threads=1)) or engine == "stacked"
    begun = [key for name, keys in watching.calls[1:] if name == "begin" for key in keys]
    finished = [key for name, key in watching.calls[1:] if name == "finish"]
    assert sorted(begun) == ([] if cached else sorted(finished))
    assert len(set(finished)) == 4
    for key, (first, now) in watching.shares.items():
        assert first == 0.0
        assert now() >= 11 / 12
        at = next(i for i, (name, keys) in enumerate(watching.calls) if name == "begin" and key in keys)
        assert at < watching.calls.index(("finish", key))


def test_it_is_seen_while_machine_code_runs():
    """The kernel of the fused engine writes its rows where another thread reads them."""
    run = Run(TINY.replace(epochs=300_000, lipschitz_every=300_000), 0.25, 0)
    fused.train(Run(TINY, 0.25, 0))  # compiled by now
    shares = []

    def train():
        with share.followed() as done:
            shares.append(done)
            fused.train(run)

    thread = threading.Thread(target=train)
    thread.start()
    seen = set()
    while thread.is_alive():
        seen |= {done() for done in shares}
        thread.join(0.01)
    assert len([one for one in seen if 0.0 < one < 1.0]) >= 3
