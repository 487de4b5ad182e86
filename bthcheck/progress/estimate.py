"""How far training is and how long it takes yet, from what its processes have said: a pure function of events and the time.

Events are mappings with `event`, `at` (seconds of a clock that all processes share) and

start  `experiment` (a key), `total` runs, `kinds` (number of levels): runs are about to be read or trained
workers `experiment`, `count` (None if it is not known): an executor's workers, all experiments' together, train from now on
train  `experiment`, `keys`, `kinds` (of each): these runs are trained side by side from now on, in one lane
share  `key` (the first of a lane), `share` (0 to 1): so much of what the lane trains is done
run    `experiment`, `key`, `kind`, `trained`, `seconds`: a run is at hand, trained now, or read with what it took then
end    `experiment`: whoever started it has all its runs, or has given up
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Event = Mapping[str, Any]

WINDOW_SECONDS = 30.0
"""How far one looks back to see how many lanes are at work."""
PATIENCE_SECONDS = 60.0
"""How long nothing is heard of a lane, and a quarter of its age more, before its process is taken for dead."""


@dataclass
class Lane:
    """Runs that one thread trains side by side.

    began, heard, ended : when it began, was heard of for the last time, and had all its runs
    idle : until when nothing was done, as far as is known: programs are compiled first
    marks : when how much of the work was done, the first and the last that is known
    """

    experiment: str
    keys: tuple[str, ...]
    kinds: tuple[str, ...]
    began: float
    heard: float
    ended: float | None = None
    idle: float | None = None
    marks: tuple[tuple[float, float], ...] = ()

    def is_alive(self, now: float) -> bool:
        """Whether it is at work, as far as one knows."""
        return self.ended is None and now - self.heard <= PATIENCE_SECONDS + (now - self.began) / 4

    def mark(self, at: float, share: float) -> None:
        """Take in how much is done."""
        self.heard = at
        if share > 0:
            self.marks = (*self.marks[:1], (at, share))
        else:
            self.idle = at

    @property
    def share(self) -> float:
        """How much of it is known to be done."""
        return self.marks[-1][1] if self.marks else 0.0

    @property
    def pace(self) -> float | None:
        """Seconds that all of it takes, by what has been done since the first mark."""
        if not self.marks:
            return None
        start = (self.began if self.idle is None else self.idle, 0.0)
        (first, before), (last, after) = [start, *self.marks][-2:]
        return (last - first) / (after - before) if after > before else None


@dataclass
class Experiment:
    """What has been heard of one experiment: how many runs there are, which are at hand, and how long runs of a kind took."""

    total: int
    kinds: int
    users: int = 0
    done: dict[str, str] = field(default_factory=dict)
    trained: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    read: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))


@dataclass(frozen=True)
class Standing:
    """How far an experiment is: `done` of `total` runs, of which `training` are being trained, `share` of all the work."""

    key: str
    done: int
    total: int
    training: int
    share: float


@dataclass(frozen=True)
class Estimate:
    """How far all experiments are that are at work, and how many seconds are left of them; None where that is not known.

    workers : those of an executor, if there is one and it says how many it has
    """

    experiments: tuple[Standing, ...]
    seconds: float | None
    workers: int | None = None

    @property
    def is_training(self) -> bool:
        """Whether anything is being trained."""
        return any(one.training for one in self.experiments)


def estimate(events: Iterable[Event], now: float) -> Estimate:
    """Return how far training is at the time `now`.

    The time left is that of the experiments that have started and not ended: what a session begins later nobody knows yet. It
    is, as for any list of jobs on several machines, the larger of two bounds:

    - all that is left, divided by the number of lanes at work: those now, or where that is more, as between two short runs,
      their mean over the last `WINDOW_SECONDS`, of which time in which nothing is trained does not count; but no more than the
      workers of an executor, which several processes may have sent their runs to;
    - what is left of the lane that has most left.

    Left of a run that has not begun is what a run of its kind, an experiment's level, takes: the mean over those trained in
    this session; else what those took that were read from the cache, when they were trained; else the pace of those in
    training; else the mean over the other kinds of the experiment. Where that is not known of an experiment, neither is the
    time left. Left of what is in training is told by the share that is done, at the pace so far, and falls with the clock
    until more is heard.
    """
    events = list(events)
    experiments, lanes = _heard(events)
    workers = _workers(events)
    alive = [lane for lane in lanes if lane.is_alive(now)]
    working = {key: one for key, one in experiments.items() if one.users > 0}
    standings = []
    unknown = False
    queued = 0.0
    left = []
    for key, one in working.items():
        costs = _costs(one, [lane for lane in alive if lane.experiment == key])
        own = [lane for lane in alive if lane.experiment == key]
        in_training = 0
        shares = 0.0
        for lane in own:
            open_keys = [run for run in lane.keys if run not in one.done]
            in_training += len(open_keys)
            rest = _rest(lane, costs, now)
            unknown |= rest is None
            left.append(rest or 0.0)
            shares += len(open_keys) * lane.share
        waiting = max(0, one.total - len(one.done) - in_training)
        if waiting:
            cost = _mean_of_waiting(one, own, costs)
            unknown |= cost is None
            queued += waiting * (cost or 0.0)
        standings.append(Standing(key, len(one.done), one.total, in_training, (len(one.done) + shares) / max(1, one.total)))
    seconds = None
    if alive and not unknown:
        side_by_side = _lanes(lanes, now)
        side_by_side = side_by_side if workers is None else min(side_by_side, workers)
        seconds = max((queued + sum(left)) / side_by_side, max(left, default=0.0))
    return Estimate(tuple(standings), seconds, workers)


def _workers(events: Iterable[Event]) -> int | None:
    """Return how many workers an executor had when it was heard of for the last time."""
    heard = [(event["at"], event["count"]) for event in events if event["event"] == "workers" and event["count"]]
    return max(heard)[1] if heard else None


def _heard(events: Iterable[Event]) -> tuple[dict[str, Experiment], list[Lane]]:
    experiments: dict[str, Experiment] = {}
    lanes: list[Lane] = []
    current: dict[str, Lane] = {}
    for event in sorted(events, key=lambda event: event["at"]):
        kind, at = event["event"], event["at"]
        if kind == "start":
            one = experiments.setdefault(event["experiment"], Experiment(event["total"], max(1, event.get("kinds", 1))))
            one.users += 1
        elif kind == "share" and event["key"] in current:
            current[event["key"]].mark(at, event["share"])
        elif event.get("experiment") not in experiments:
            continue  # its start was lost
        elif kind == "train":
            lane = Lane(event["experiment"], tuple(event["keys"]), tuple(event["kinds"]), at, at)
            lanes.append(lane)
            for key in lane.keys:
                if key in current and current[key].ended is None:  # of a process that died
                    current[key].ended = current[key].heard
                current[key] = lane
        elif kind == "run":
            one = experiments[event["experiment"]]
            one.done[event["key"]] = event["kind"]
            (one.trained if event["trained"] else one.read)[event["kind"]][event["key"]] = event["seconds"]
            lane_of = current.get(event["key"])
            if lane_of is not None and lane_of.ended is None:
                lane_of.heard = at
                if all(key in one.done for key in lane_of.keys):
                    lane_of.ended = at
        elif kind == "end":
            experiments[event["experiment"]].users -= 1
    for lane in lanes:
        if lane.ended is None and experiments[lane.experiment].users <= 0:
            lane.ended = lane.heard
    return experiments, lanes


def _costs(one: Experiment, lanes: Sequence[Lane]) -> dict[str, float]:
    """Return kind → seconds that a run of it takes, of those of which that is known."""
    paces = defaultdict(list)
    for lane in lanes:
        if lane.pace is not None:
            for kind in lane.kinds:
                paces[kind].append(lane.pace / len(lane.keys))
    costs = {}
    for kind in {*one.trained, *one.read, *paces}:
        known = list(one.trained.get(kind, {}).values()) or list(one.read.get(kind, {}).values()) or paces[kind]
        costs[kind] = sum(known) / len(known)
    return costs


def _rest(lane: Lane, costs: dict[str, float], now: float) -> float | None:
    """Return the seconds that are left of what a lane trains."""
    whole: float | None = lane.pace
    if whole is None and all(kind in costs for kind in lane.kinds):
        whole = sum(costs[kind] for kind in lane.kinds)
    if whole is None and costs:
        whole = len(lane.keys) * sum(costs.values()) / len(costs)
    told = lane.marks[-1][0] if lane.marks else lane.began
    return None if whole is None else max(0.0, whole * (1 - lane.share) - (now - told))


def _mean_of_waiting(one: Experiment, lanes: Sequence[Lane], costs: dict[str, float]) -> float | None:
    """Return the mean seconds of a run that has not begun: of its kind where that is known, else of all kinds."""
    if not costs:
        return None
    begun: dict[str, int] = defaultdict(int)
    for kind in one.done.values():
        begun[kind] += 1
    for lane in lanes:
        for key, kind in zip(lane.keys, lane.kinds, strict=True):
            begun[kind] += key not in one.done
    each = one.total / one.kinds
    mean = sum(costs.values()) / len(costs)
    waiting = {kind: max(0.0, each - begun[kind]) for kind in costs}
    others = max(0.0, one.kinds - len(costs)) * each - sum(count for kind, count in begun.items() if kind not in costs)
    total = sum(waiting.values()) + max(0.0, others)
    if not total:
        return mean
    return (sum(costs[kind] * count for kind, count in waiting.items()) + mean * max(0.0, others)) / total


def _lanes(lanes: Sequence[Lane], now: float) -> float:
    """Return how many lanes were at work, on the average of the last seconds in which any was."""
    since = now - WINDOW_SECONDS
    spans = []
    for lane in lanes:
        end = lane.ended if lane.ended is not None else now if lane.is_alive(now) else lane.heard
        if end > since:
            spans.append((max(since, lane.began), end))
    busy = sum(end - begin for begin, end in spans)
    covered, reached = 0.0, since
    for begin, end in sorted(spans):
        covered += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    at_work = sum(lane.is_alive(now) for lane in lanes)  # which may just have begun
    return max(1.0, at_work, busy / covered if covered > 0 else 0.0)
