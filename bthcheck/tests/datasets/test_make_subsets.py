"""The script that makes the embedded subsets."""

import hashlib

import numpy as np
import pytest

from bthcheck.datasets import (
    SHAPES,
    embedded,
    make_subsets,
)

PAIRS = {"cifar10": ("airplane", "dog"), "mnist": ("3", "6")}


@pytest.fixture
def archives(tmp_path, monkeypatch):
    """A folder with small archives, of which 3 training and 2 test images a class are to be chosen."""
    generator = np.random.default_rng(3)
    for dataset, shape in (("cifar10", (32, 32, 3)), ("mnist", (28, 28))):
        filename, _ = make_subsets.ARCHIVES[dataset]
        arrays = {}
        for split, size in (("train", 12), ("test", 8)):
            arrays[f"{split}_images"] = generator.integers(0, 256, (size, *shape), dtype=np.uint8)
            arrays[f"{split}_labels"] = np.resize(np.array([1, 1, 0, 0], np.uint8), size)
        np.savez(tmp_path / filename, **arrays)
        digest = hashlib.sha256((tmp_path / filename).read_bytes()).hexdigest()
        monkeypatch.setitem(make_subsets.ARCHIVES, dataset, (filename, digest))
        monkeypatch.setitem(embedded.SUBSETS, dataset, embedded.SUBSETS[dataset]._replace(train=3, test=2))
    return tmp_path


def test_the_script_chooses_the_first_and_puts_channels_first(archives, tmp_path):
    output = tmp_path / "output"
    output.mkdir()
    assert make_subsets.main([str(archives), "--output", str(output)]) == 0
    for dataset, (filename, _) in make_subsets.ARCHIVES.items():
        original, chosen = np.load(archives / filename), np.load(output / filename)
        expected = original["train_images"][[0, 1, 2, 3, 4, 6]].reshape(6, *SHAPES[dataset][1:], SHAPES[dataset][0])
        assert np.array_equal(chosen["train_images"].transpose(0, 2, 3, 1), expected)
        assert chosen["train_labels"].tolist() == [1, 1, 0, 0, 1, 0]
        assert chosen["test_labels"].tolist() == [1, 1, 0, 0]
        assert (output / filename).read_bytes() == make_subsets.make_subset(dataset, archives)


def test_the_script_refuses_another_archive(archives, tmp_path, capsys):
    filename, _ = make_subsets.ARCHIVES["mnist"]
    with (archives / filename).open("ab") as file:
        file.write(b"0")
    output = tmp_path / "output"
    output.mkdir()
    assert make_subsets.main([str(archives), "--output", str(output)]) == 1
    assert "is not the one expected" in capsys.readouterr().err
    assert not list(output.iterdir())
    assert make_subsets.main([str(tmp_path / "nowhere")]) == 1
    assert "cannot be read: No such file" in capsys.readouterr().err
