"""The benchmark of watching, at a size that takes no time."""

import pytest

from bthcheck.benchmark import watching


def test_every_network_and_batch_size_has_its_line(capsys, monkeypatch):
    monkeypatch.setattr(watching, "available_threads", lambda: 1)
    monkeypatch.setattr(watching, "_BLOCK", {1: 1, 32: 1})
    watching.report(rounds=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 * len(watching.NETWORKS) * len(watching.TARGETS)
    assert [line.split("at most ")[1] for line in lines if "ratio" in line] == ["1.15", "1.05"] * len(watching.NETWORKS)


@pytest.mark.parametrize("name", watching.NETWORKS)
def test_both_loops_train_the_same_network(name):
    loops = [watching._Loop(name, 2) for _ in range(2)]
    with watching.watch(loops[1].model, loops[1].optimizer) as w:
        for loop in loops:
            assert loop.seconds(3) > 0
    assert w.dataset().sizes["step"] == 3
    one, other = (loop.model.state_dict().values() for loop in loops)
    assert all((a == b).all() for a, b in zip(one, other, strict=True))
