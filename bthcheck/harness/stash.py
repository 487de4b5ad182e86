"""Where pytest keeps what is ours: settings, the cluster, what was trained, what a claim's test has presented, also as JSON."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bthcheck.harness.claims import Claim, Evidence
    from bthcheck.harness.settings import Settings
    from bthcheck.harness.trained import Trained
    from bthcheck.training.clusters import Cluster
    from bthcheck.training.kept import Keeper

SETTINGS: "pytest.StashKey[Settings]" = pytest.StashKey()
EVIDENCE: "pytest.StashKey[Evidence]" = pytest.StashKey()
TRAINED: "pytest.StashKey[Trained]" = pytest.StashKey()
CLUSTER: "pytest.StashKey[Cluster]" = pytest.StashKey()
KEEPER: "pytest.StashKey[Keeper]" = pytest.StashKey()
RECORD: "pytest.StashKey[str]" = pytest.StashKey()


def claim_of(item: pytest.Item) -> "Claim | None":
    """Return the claim that a test is the test of, or None."""
    marker = item.get_closest_marker("claim")
    return None if marker is None else marker.args[0]
