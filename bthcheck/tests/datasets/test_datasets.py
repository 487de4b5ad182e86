import hashlib
import subprocess
import sys

import numpy as np
import pytest

from bthcheck.datasets import (
    CLASSES,
    SHAPES,
    Images,
    check_images,
    embedded,
    first_of_each_class,
    load,
    make_subsets,
)

PAIRS = {"cifar10": ("airplane", "dog"), "mnist": ("3", "6")}


# ---------------------------------------------------------------------------------------------------- embedded


# The first labels as anyone finds them in the distributions, and the sums of the first images and SHA-256 of all images in the
# original layout (height, width, channels), taken once from the archives that hold both classes whole.
FIRST_LABELS = {"cifar10": [1, 0, 0, 0, 1, 0, 1, 1], "mnist": [0, 0, 0, 1, 1, 0, 0, 1, 1, 1]}
SUMS = {
    "cifar10": ([215375, 456513, 388403, 337068, 351778], [475573, 431128, 285070, 392550, 667130]),
    "mnist": ([35867, 28548, 35761, 28443, 13589], [27735, 35433, 22303, 23906, 24929]),
}
ALL = {
    "cifar10": (
        "38abb4ba153fc5a48f2c3bae71943890015e4973225653ca582cd80fa1c5b23c",
        "d972be61b517e8fed9f13e658bf1a0134384262c3d16450c0400abf567759ea0",
        "60e1261d4d89ecd6abaf59bc07af6ffbc6a21ab01097c8742aae3c8bcd7d12b1",
        "15a3ece7cf782b98c3cbb1ca51da8d046e2b6a416798ef6eb2cdd6aa1acb1010",
    ),
    "mnist": (
        "43f7f24a0961e34802e7710e5bd76c3491ac726b245d3b928d3d092ed4d11407",
        "5e90610ee7b3b44d27ef83aede79f827366ab042806e11659cd85cc60609fec9",
        "bf3f3884cb6de06b2a7e8241af84ab808297d5332a7cae0cfa3901f10b0a6145",
        "b74ef381a9dc0bc24e7a1e1d49454956a329dc9ecbc6d5074979c0aeb00ec184",
    ),
}


@pytest.mark.parametrize("dataset", CLASSES)
def test_embedded_images_are_the_first_of_the_original_in_its_order(dataset):
    images = load(dataset, PAIRS[dataset])
    assert [array.dtype for array in images] == [np.uint8] * 4
    assert images.train_labels[: len(FIRST_LABELS[dataset])].tolist() == FIRST_LABELS[dataset]
    for split, sums in zip((images.train_images, images.test_images), SUMS[dataset], strict=True):
        assert split[:5].sum(axis=(1, 2, 3)).tolist() == sums
    original = [images[0].transpose(0, 2, 3, 1), images[1], images[2].transpose(0, 2, 3, 1), images[3]]
    assert tuple(hashlib.sha256(array.tobytes()).hexdigest() for array in original) == ALL[dataset]


@pytest.mark.parametrize(("dataset", "train", "test"), [("cifar10", 500, 250), ("mnist", 100, 900)])
def test_embedded_images_are_as_many_of_each_class_as_promised(dataset, train, test):
    images = load(dataset, PAIRS[dataset])
    assert np.bincount(images.train_labels).tolist() == [train, train]
    assert np.bincount(images.test_labels).tolist() == [test, test]
    assert images.train_images.shape == (2 * train, *SHAPES[dataset])
    assert embedded.SUBSETS[dataset][2:4] == (train, test)


def test_the_first_class_named_is_label_0():
    images, swapped = load("mnist", ("3", "6")), load("mnist", ("6", "3"))
    assert np.array_equal(images.train_images, swapped.train_images)
    assert np.array_equal(images.train_labels, 1 - swapped.train_labels)
    assert np.array_equal(images.test_labels, 1 - swapped.test_labels)


@pytest.mark.parametrize("classes", [("3", "6"), ("6", "3")])
def test_loaded_arrays_are_shared_and_cannot_be_written(classes):
    images = load("mnist", classes)
    assert images.train_images is load("mnist", classes).train_images
    for array in images:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_embedded_images_need_no_torchvision():
    program = (
        "import sys; from bthcheck.datasets import load; load('mnist', ('3', '6')); sys.exit('torchvision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("where", [100, 100_000, -1])
def test_an_altered_file_is_refused(where, tmp_path, monkeypatch):
    subset = embedded.SUBSETS["mnist"]
    content = bytearray(embedded.FOLDER.joinpath(subset.filename).read_bytes())
    content[where] ^= 1
    (tmp_path / subset.filename).write_bytes(content)
    monkeypatch.setattr(embedded, "FOLDER", tmp_path)
    embedded._read.cache_clear()
    with pytest.raises(ValueError, match=r"^mnist-3-6\.npz of this package is altered"):
        load("mnist", ("3", "6"))


def test_a_missing_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "FOLDER", tmp_path)
    embedded._read.cache_clear()
    with pytest.raises(ValueError, match=r"^mnist-3-6\.npz of this package cannot be read"):
        load("mnist", ("3", "6"))


def test_provenance_names_the_files_as_they_are():
    text = embedded.FOLDER.joinpath("PROVENANCE.md").read_text()
    for dataset, subset in embedded.SUBSETS.items():
        assert f"| {subset.filename} | {subset.sha256} |" in text
        assert make_subsets.ARCHIVES[dataset][1] in text


# ---------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("dataset", "classes", "source", "message"),
    [
        ("cifar100", ("airplane", "dog"), "embedded", "dataset must be one of 'cifar10', 'mnist', got 'cifar100'"),
        ("cifar10", ("airplane", "dragon"), "full", "'truck' for cifar10, got .*'dragon'"),
        ("cifar10", ("dog", "dog"), "embedded", "two different"),
        ("cifar10", ("airplane", "dog", "cat"), "full", "two different"),
        ("mnist", (3, 6), "embedded", "classes must be"),
        ("mnist", "36", "embedded", "classes must be"),
        ("mnist", ("3", "7"), "embedded", "has the classes '3' and '6', got '3' and '7'; other classes need source='full'"),
        ("mnist", ("3", "6"), "web", "source must be one of 'embedded', 'full' or the name of a file that ends in"),
    ],
)
def test_what_there_is_not_is_refused_in_one_sentence(dataset, classes, source, message):
    with pytest.raises(ValueError, match=message) as error:
        load(dataset, classes, source)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_images": np.zeros((4, 1, 28, 28), np.float32)}, "train images of mnist must be uint8.*got float32"),
        (
            {"test_images": np.zeros((2, 1, 32, 32), np.uint8)},
            r"test images of mnist must be .*\(m, 1, 28, 28\).*\(2, 1, 32, 32\)",
        ),
        ({"train_images": np.zeros((4, 28, 28), np.uint8)}, "train images of mnist"),
        ({"train_labels": np.zeros(3, np.uint8)}, "train labels of mnist must be 4"),
        ({"test_labels": np.array([0, 2], np.uint8)}, "test labels of mnist"),
    ],
)
def test_images_of_another_size_or_type_are_refused(change, message):
    images = Images(
        np.zeros((4, 1, 28, 28), np.uint8), np.zeros(4, np.uint8), np.zeros((2, 1, 28, 28), np.uint8), np.ones(2, np.uint8)
    )
    assert check_images(images, "mnist") is images
    with pytest.raises(ValueError, match=message):
        check_images(images._replace(**change), "mnist")


def test_the_first_of_each_class_keep_their_order():
    labels = np.array([1, 1, 0, 1, 0, 0])
    assert first_of_each_class("train", labels, 2).tolist() == [0, 1, 2, 4]
    with pytest.raises(ValueError, match="train must be at most 6 images, half of each class, got 8"):
        first_of_each_class("train", labels, 4)
