"""The Dask cluster that trains for a session: connected before there is anything to train, closed whatever happens."""

from collections.abc import Sequence
from typing import Any

import pytest

from bthcheck.harness.session import Channel
from bthcheck.harness.stash import CLUSTER, SETTINGS
from bthcheck.report.numbers import count
from bthcheck.training import clusters

PATIENCE_SECONDS = 60.0
"""How long a worker tries to connect to the cluster that the process that reports is connected to."""


def start(config: pytest.Config, text: str, seconds: float = clusters.CONNECT_SECONDS) -> clusters.Cluster:
    """Connect this process to a cluster, or start one for the session; it is closed when the process ends.

    Raises
    ------
    ValueError
        As `bthcheck.training.clusters.connect`.
    """
    cluster = clusters.connect("--dask", text, seconds)
    config.add_cleanup(cluster.close)
    config.stash[CLUSTER] = cluster
    return cluster


def executor(config: pytest.Config) -> Any:
    """Return what a fixture trains with; None for this process. A worker connects when it first has something to train.

    Raises
    ------
    ValueError
        If the cluster of the session is gone.
    """
    text = config.stash[SETTINGS].dask
    if text is None:
        return None
    cluster = config.stash[CLUSTER] if CLUSTER in config.stash else start(config, text, PATIENCE_SECONDS)
    return cluster.client.get_executor(pure=False)


def trains(config: pytest.Config) -> bool:
    """Whether pytest was called to run tests, and not to show what there is."""
    shows = ("collectonly", "showfixtures", "show_fixtures_per_test", "setuponly", "setupplan", "cacheshow")
    return not any(getattr(config.option, name, False) for name in shows)


def sentences(channel: Channel) -> list[str]:
    """Return where a session trained, a sentence a cluster; none if it was in pytest's processes or nothing was trained."""
    clusters_heard: dict[str, list[dict[str, Any]]] = {}
    for event in channel.events("workers"):  # several processes met the same
        known = clusters_heard.setdefault(event["name"], [])
        for kind in event["workers"]:
            same = [entry for entry in known if {**entry, "count": 0} == {**kind, "count": 0}]
            if same:
                same[0]["count"] = max(same[0]["count"], kind["count"])
            else:
                known.append(dict(kind))
    return [_sentence(name, kinds) for name, kinds in clusters_heard.items()]


def _sentence(name: str, kinds: Sequence[dict[str, Any]]) -> str:
    cluster, _, address = name.partition(" at ")
    workers = count(sum(kind["count"] for kind in kinds), f"{cluster} worker")
    each = [
        f"{kind['count']} on {kind['host']} ({', '.join(filter(None, [kind['processor'], kind.get('GPU')]))};"
        f" {', '.join(f'{library} {version}' for library, version in kind['libraries'].items())})"
        for kind in kinds
    ]
    return f"trained on {workers} at {address}: {'; '.join(each)}"
