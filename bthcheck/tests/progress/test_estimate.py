"""The time left, on made-up events: trainings of known length, of which an estimate hears what processes would say."""

import random

import pytest

from bthcheck.progress.estimate import PATIENCE_SECONDS, estimate


class Story:
    """Events of a training."""

    def __init__(self):
        self.events = []

    def say(self, at, event, **details):
        self.events.append({"event": event, "at": at, **details})

    def start(self, at, experiment="e", total=1, kinds=1):
        self.say(at, "start", experiment=experiment, total=total, kinds=kinds)

    def train(self, at, *keys, experiment="e", kind="0"):
        self.say(at, "train", experiment=experiment, keys=list(keys), kinds=[kind] * len(keys))

    def run(self, at, key, seconds, experiment="e", kind="0", trained=True):
        self.say(at, "run", experiment=experiment, key=key, kind=kind, trained=trained, seconds=seconds)

    def share(self, at, key, share):
        self.say(at, "share", key=key, share=share)

    def left(self, now):
        return estimate(self.until(now), now).seconds

    def until(self, now):
        return [event for event in self.events if event["at"] <= now]


@pytest.fixture
def story():
    return Story()


def test_nothing_heard_is_nothing_to_say():
    found = estimate([], 5.0)
    assert found.experiments == ()
    assert found.seconds is None
    assert not found.is_training


def test_one_lane_has_all_that_is_left(story):
    story.start(0, total=10)
    for number in range(3):
        story.train(10 * number, f"k{number}")
        story.run(10 * number + 10, f"k{number}", 10.0)
    story.train(30, "k3")
    assert story.left(30) == pytest.approx(70)
    assert story.left(34) == pytest.approx(66)  # falls with the clock
    (one,) = estimate(story.events, 34).experiments
    assert (one.done, one.total, one.training, one.share) == (3, 10, 1, 0.3)


def test_lanes_share_what_is_left(story):
    story.start(0, total=12)
    for lane in range(4):
        story.train(0, f"a{lane}")
        story.run(20, f"a{lane}", 20.0)
        story.train(20, f"b{lane}")
    assert story.left(20) == pytest.approx(40)  # eight runs of 20 s in four lanes
    assert story.left(30) == pytest.approx(30)


def test_between_two_runs_a_lane_is_still_there(story):
    story.start(0, total=8)
    for lane in range(2):
        story.train(0, f"a{lane}")
        story.run(10, f"a{lane}", 10.0)
    story.train(10, "b0")  # and the other thread writes what it has trained
    assert story.left(10) == pytest.approx(30)


def test_the_longest_lane_is_waited_for(story):
    story.start(0, total=4)
    for lane in range(4):
        story.train(0, f"a{lane}")
        story.share(2, f"a{lane}", 0.1)
    for lane in range(3):
        story.run(20, f"a{lane}", 20.0)
    story.share(20, "a3", 0.2)
    assert story.left(20) == pytest.approx(18 / 0.1 * 0.8)  # no other lane can help


def test_what_was_read_takes_no_time_and_tells_how_long_a_run_takes(story):
    story.start(0, total=20)
    for number in range(15):
        story.run(0.1, f"r{number}", 60.0, trained=False)
    assert story.left(1) is None  # nobody trains
    assert not estimate(story.events, 1).is_training
    story.train(1, "a")
    assert story.left(1) == pytest.approx(5 * 60)
    story.run(31, "a", 30.0)  # it is faster here
    story.train(31, "b")
    assert story.left(31) == pytest.approx(4 * 30)


def test_runs_of_several_experiments_take_what_their_own_take(story):
    for experiment, seconds, total in (("short", 1.0, 10), ("long", 100.0, 3)):
        story.start(0, experiment=experiment, total=total)
        story.train(0, f"{experiment} 0", experiment=experiment)
        story.run(seconds, f"{experiment} 0", seconds, experiment=experiment)
        story.train(100, f"{experiment} 1", experiment=experiment)
    left = story.left(100)
    assert left == pytest.approx((9 * 1 + 2 * 100) / 2, rel=0.1)
    assert [(one.key, one.done, one.total) for one in estimate(story.events, 100).experiments] == [
        ("short", 1, 10), ("long", 1, 3),
    ]  # fmt: skip


def test_as_long_as_one_experiment_is_not_known_neither_is_the_time_left(story):
    story.start(0, experiment="known", total=2)
    story.train(0, "a", experiment="known")
    story.run(10, "a", 10.0, experiment="known")
    story.train(10, "b", experiment="known")
    story.start(11, experiment="new", total=5)
    assert story.left(10.5) == pytest.approx(9.5)
    assert story.left(11) is None
    story.train(11, "c", experiment="new")
    assert story.left(12) is None
    story.share(13, "c", 0.5)
    assert story.left(13) == pytest.approx((7 + 2 + 4 * 4) / 2, rel=0.15)


def test_levels_take_what_they_take(story):
    """As of a CNN and an MLP: the mean over both would be far off."""
    story.start(0, total=4, kinds=2)
    for number in range(2):
        story.train(number, f"fast {number}", kind="0")
        story.run(number + 1, f"fast {number}", 1.0, kind="0")
    story.train(2, "slow 0", kind="1")
    story.share(12, "slow 0", 0.1)
    assert story.left(12) == pytest.approx(90 + 100)


def test_one_long_run_tells_how_long_it_takes_yet(story):
    story.start(0, total=1)
    story.train(0, "a")
    assert story.left(20) is None
    story.share(30, "a", 0.01)  # of which 20 s went into compiling
    story.share(130, "a", 0.11)
    assert story.left(130) == pytest.approx(890)  # 1000 s a run, without what came before the first mark
    assert story.left(180) == pytest.approx(840)
    assert story.left(2000) is None  # nothing was heard for half an hour


def test_what_was_compiled_before_the_first_step_is_not_counted(story):
    story.start(0, total=1)
    story.train(0, "a")
    for second in range(2, 22, 2):
        story.share(second, "a", 0.0)
        assert story.left(second) is None
    story.share(22, "a", 0.01)
    assert story.left(22) == pytest.approx(198)
    story.share(24, "a", 0.02)
    assert story.left(24) == pytest.approx(196)


def test_a_stack_is_one_lane(story):
    story.start(0, total=8)
    story.train(0, "a", "b", "c", "d")
    story.share(10, "a", 0.1)
    story.share(20, "a", 0.2)
    (one,) = estimate(story.events, 20).experiments
    assert (one.training, one.share) == (4, 0.1)
    assert story.left(20) == pytest.approx(80 + 100)
    for key in "abcd":
        story.run(100, key, 25.0)
    story.train(100, "e", "f", "g", "h")
    assert story.left(100) == pytest.approx(100)


def test_time_in_which_nothing_is_trained_does_not_count(story):
    story.start(0, total=6)
    for lane in range(2):
        story.train(0, f"a{lane}")
        story.run(5, f"a{lane}", 5.0)
        story.train(25, f"b{lane}")  # meanwhile claims computed something else
    assert story.left(25) == pytest.approx(10)


def test_a_worker_that_died_is_not_waited_for(story):
    story.start(0, total=3)
    story.run(0, "a", 10.0, trained=False)
    story.train(0, "b")
    story.share(5, "b", 0.5)
    story.train(5, "c")
    assert story.left(6) == pytest.approx(9, abs=1)
    later = 10 + 2 * PATIENCE_SECONDS
    assert story.left(later) is None
    story.start(later)
    story.train(later, "b")  # another one trains its run
    assert story.left(later) == pytest.approx(20)


def test_who_ends_has_no_more_to_do(story):
    story.start(0, total=10)
    story.start(0, total=10)
    story.train(0, "a")
    story.run(5, "a", 5.0)
    story.train(5, "b")
    story.say(6, "end", experiment="e")
    assert story.left(6) == pytest.approx(44)  # another process is still at it
    story.say(7, "end", experiment="e")
    assert estimate(story.events, 7).experiments == ()
    assert story.left(7) is None


def test_events_may_come_in_any_order_and_lack_their_start(story):
    story.start(0, total=4)
    story.train(0, "a")
    story.run(10, "a", 10.0)
    story.train(10, "b")
    whole = estimate(story.events, 12)
    random.Random(0).shuffle(story.events)
    assert estimate(story.events, 12) == whole
    lost = [event for event in story.events if event["event"] != "start"]
    assert estimate([*lost, {"event": "wait", "at": 1, "sentence": "…"}], 12).experiments == ()


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("cached", [0, 20])
@pytest.mark.parametrize("seed", range(3))
def test_a_simulated_session_is_foretold(workers, cached, seed):
    """Workers take runs from a list, as `obtain` has them do; from a tenth on the estimate is right to a third, and to 5 s."""
    generator = random.Random(seed)
    story = Story()
    cost = {("one", "0"): 4.0, ("one", "1"): 9.0, ("two", "0"): 30.0}
    jobs = []
    for experiment, kinds in (("one", 2), ("two", 1)):
        story.start(0, experiment=experiment, total=20 * kinds, kinds=kinds)
        runs = [(experiment, str(kind), f"{experiment} {kind} {number}") for kind in range(kinds) for number in range(20)]
        for number, (_, kind, key) in enumerate(runs):
            if experiment == "one" and number < cached:
                story.run(0, key, cost[experiment, kind], experiment=experiment, kind=kind, trained=False)
            else:
                jobs.append((experiment, kind, key))
    generator.shuffle(jobs)
    free = [0.0] * workers
    for experiment, kind, key in jobs:
        worker = free.index(min(free))
        began, seconds = free[worker], cost[experiment, kind] * generator.uniform(0.8, 1.2)
        story.train(began, key, experiment=experiment, kind=kind)
        for second in range(2, int(seconds), 2):
            story.share(began + second, key, second / seconds)
        free[worker] = began + seconds
        story.run(free[worker], key, seconds, experiment=experiment, kind=kind)
    end = max(free)
    for tenth in range(1, 10):
        now = end * tenth / 10
        assert story.left(now) == pytest.approx(end - now, rel=1 / 3, abs=5), tenth


# ------------------------------------------------------------------------------------------ workers of an executor


def test_the_time_left_counts_the_workers_whoever_sent_them_their_runs(story):
    """Two processes send runs to the same two workers; each says of two that they are in training."""
    for name in "ab":
        story.start(0, name, total=12)
        story.say(0, "workers", experiment=name, count=2, name="Dask at tcp://x:1", workers=[])
        for number in range(2):
            story.train(0, f"{name}{number}", experiment=name)
            story.run(10, f"{name}{number}", 10.0, experiment=name)
            story.train(10, f"{name}{number + 2}", experiment=name)
    found = estimate(story.until(10), 10)
    assert found.workers == 2
    assert found.seconds == pytest.approx((24 - 4) * 10 / 2)


def test_the_number_of_workers_is_the_last_that_is_known(story):
    story.start(0, total=100)
    story.say(0, "workers", experiment="e", count=2, name="x", workers=[])
    story.say(5, "workers", experiment="e", count=8, name="x", workers=[])
    story.say(6, "workers", experiment="e", count=None, name="x", workers=[])
    assert estimate(story.until(4), 4).workers == 2
    assert estimate(story.events, 7).workers == 8


@pytest.mark.parametrize("workers", [1, 3, 16])
def test_runs_on_workers_that_tell_no_share_are_foretold(story, workers):
    """Simulated: 40 runs of 20 s each; whoever sends them hears of a run when it begins and when it is done."""
    story.start(0, total=40)
    story.say(0, "workers", experiment="e", count=workers, name="x", workers=[])
    free, ends = [0.0] * workers, []
    for number in range(40):
        begin = min(free)
        free[free.index(begin)] = begin + 20
        story.train(begin, f"k{number}")
        story.share(begin + 3, f"k{number}", 0.0)  # which says no more than that it is alive
        story.run(begin + 20, f"k{number}", 20.0)
        ends.append(begin + 20)
    for now in (21.0, 25.0, max(ends) / 2 + 11):
        if now < max(ends):
            assert story.left(now) == pytest.approx(max(ends) - now, abs=20)
