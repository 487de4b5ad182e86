"""Images of one's own: archives of arrays, and folders of pictures that are packed into one."""

import hashlib
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bthcheck
from bthcheck.datasets import Images, __main__, archives, load
from bthcheck.datasets.folders import pack
from bthcheck.experiments import CORRUPTED_CIFAR, CORRUPTED_CIFAR_SMALL, MNIST_ARCHITECTURES, SINUSOIDS, from_file
from bthcheck.networks import CNN, MLP
from bthcheck.protocols import fields_of
from bthcheck.tasks import CorruptedImages
from bthcheck.training.cache import run_key
from bthcheck.training.runs import Run
from bthcheck.training.streams import stream

SMALL = {"train": 6, "test": 4}


def arrays(shape=(3, 5, 7), labels=(0, 1), **changes):
    """Return the arrays of 12 training and 8 test images."""
    generator = np.random.default_rng(4)
    found = {}
    for split, count in (("train", 12), ("test", 8)):
        found[f"{split}_images"] = generator.integers(0, 256, (count, *shape), dtype=np.uint8)
        found[f"{split}_labels"] = np.resize(np.array(labels, np.uint8), count)
    return {name: array for name, array in {**found, **changes}.items() if array is not None}


@pytest.fixture
def archive(tmp_path):
    """A function that writes arrays into a file and returns its name."""

    def write(name="images.npz", **changes):
        np.savez(tmp_path / name, **arrays(**changes))
        return str(tmp_path / name)

    return write


def test_a_file_in_the_form_of_the_embedded_ones_is_one_of_them(tmp_path):
    images = load("mnist", ("3", "6"))
    np.savez(tmp_path / "mnist.npz", **images._asdict())
    ours = CorruptedImages("mnist", ("3", "6"), corruption=0.4, train=20, test=10)
    theirs = CorruptedImages("mnist", ("3", "6"), corruption=0.4, train=20, test=10, source=tmp_path / "mnist.npz")
    assert theirs.source == str(tmp_path / "mnist.npz")
    for one, other in zip(ours.sample(stream(3, "data")), theirs.sample(stream(3, "data")), strict=True):
        assert np.array_equal(one, other)
    assert (theirs.shape, theirs.inputs) == ((1, 28, 28), 784)


def test_images_of_any_size_and_any_two_classes(archive):
    path = archive(labels=(0, 2, 1, 3), classes=np.array(["cat", "dog", "fox", "owl"]))
    task = CorruptedImages(source=path, classes=("owl", "dog"), **SMALL)
    assert (task.shape, task.inputs, task.classes) == ((3, 5, 7), 105, ("owl", "dog"))
    stored, data = arrays(labels=(0, 2, 1, 3)), task.sample(stream(0, "data"))
    chosen = np.isin(stored["train_labels"], (3, 1))
    assert data.y_train.tolist() == (stored["train_labels"][chosen] == 1)[:6].astype(float).tolist()
    restored = ((data.x_train.double() + 1) * 127.5).reshape(6, 3, 5, 7)
    np.testing.assert_allclose(restored, stored["train_images"][chosen][:6], atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "stored", "expected"),
    [
        ((5, 7, 3), lambda pixels: pixels.transpose(0, 3, 1, 2), (3, 5, 7)),
        ((5, 7), lambda pixels: pixels[:, None], (1, 5, 7)),
        ((3, 5, 3), lambda pixels: pixels, (3, 5, 3)),
        ((6, 5, 7), lambda pixels: pixels, (6, 5, 7)),
    ],
)
def test_channels_come_first(shape, stored, expected, archive):
    opened = archives.open_archive(archive(shape=shape))
    assert opened.shape == expected
    assert np.array_equal(opened.images.train_images, stored(arrays(shape=shape)["train_images"]))


def test_labels_without_names_are_numbers_or_any_two_names(archive):
    path = archive(labels=(0, 1, 4))
    assert CorruptedImages(source=path, classes=("4", "1"), train=8, test=4).classes == ("4", "1")
    assert CorruptedImages(source=archive("two.npz"), classes=("night", "day"), **SMALL).classes == ("night", "day")


def test_runs_are_kept_by_what_is_in_the_file(archive, tmp_path):
    network = MLP((105, 105, 3, 1), output="sigmoid")
    path = archive()

    def key(source):
        task = CorruptedImages(source=source, **SMALL)
        return run_key(Run(CORRUPTED_CIFAR_SMALL.replace(task=task, network=network), 0.0, 0), "fused", "cpu")

    (tmp_path / "copy.npz").write_bytes((tmp_path / "images.npz").read_bytes())
    before = key(path)
    assert key(str(tmp_path / "copy.npz")) == before
    content = hashlib.sha256((tmp_path / "images.npz").read_bytes()).hexdigest()
    assert fields_of(CorruptedImages(source=path, **SMALL))["source"] == content
    changed = arrays()["train_images"]
    changed[0, 0, 0, 0] ^= 1
    assert key(archive(train_images=changed)) != before
    assert fields_of(CorruptedImages())["source"] == "embedded"


def test_a_network_of_another_shape_is_refused_and_one_of_this_shape_trains(archive):
    task = CorruptedImages(source=archive(shape=(1, 9, 8)), **SMALL)
    with pytest.raises(ValueError, match="the network takes 3072 inputs but the task has 72"):
        CORRUPTED_CIFAR_SMALL.replace(task=task)
    network = CNN((1, 9, 8), (2, 2), 2, 2, 3)
    own = CORRUPTED_CIFAR_SMALL.replace(task=task, network=network, levels=(0.0, 0.5), seeds=(0,), epochs=1)
    runs = bthcheck.run(own, progress=False)
    assert runs.bthcheck.task(0.5).shape == (1, 9, 8)
    assert runs.bthcheck.experiment == own


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train": 14}, "train must be at most 12 images, half of each class, got 14 from .*images.npz"),
        ({"test": 10}, "test must be at most 8 images, half of each class, got 10 from .*images.npz"),
        ({"classes": ("a", "a")}, "classes must be two different names for .*images.npz, got"),
        ({"classes": "ab"}, "classes must be two different names for"),
        ({"train": 5}, "train must be even"),
    ],
)
def test_a_file_has_no_more_than_it_has(fields, message, archive):
    with pytest.raises(ValueError, match=message):
        CorruptedImages(source=archive(), **{**SMALL, **fields})


def test_a_class_that_is_not_in_the_file(archive):
    path = archive(classes=np.array(["cat", "dog"]))
    with pytest.raises(ValueError, match=r"classes must be two different ones of 'cat', 'dog' for .*, got \('airplane'"):
        CorruptedImages(source=path, **SMALL)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_labels": None}, "must have the arrays train_images, .*, but test_labels is missing"),
        ({"train_images": np.zeros((12, 3, 5, 7))}, r"train images of .* must be uint8 of shape .*, got float64 of shape \(12"),
        ({"test_images": np.zeros((8, 35), np.uint8)}, r"test images of .* must be uint8 of shape .*, got uint8 of shape \(8"),
        ({"test_images": np.zeros((8, 3, 5, 6), np.uint8)}, r"of one size, got \(3, 5, 7\) and \(3, 5, 6\)"),
        ({"train_labels": np.zeros(12)}, r"train labels of .* must be 12 of uint8, got float64 of shape \(12,\)"),
        ({"train_labels": np.zeros(11, np.uint8)}, r"train labels of .* must be 12 of uint8, got uint8 of shape \(11,\)"),
        ({"classes": np.array(["cat"])}, r"classes of .* must be a name for each of the labels 0 to 1, got \['cat'\]"),
        ({"classes": np.array(["cat", "cat"])}, "classes of .* must be a name for each of the labels"),
        ({"classes": np.array([3, 4])}, "classes of .* must be a name for each of the labels"),
        ({"train_labels": np.array([{}] * 12)}, "are no archive of plain arrays: Object arrays cannot be loaded"),
    ],
)
def test_files_with_something_else_in_them(changes, message, archive):
    with pytest.raises(ValueError, match=message) as error:
        CorruptedImages(source=archive(**changes), **SMALL)
    assert "\n" not in str(error.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(ValueError, match=r"the images .*nowhere\.npz cannot be read: No such file"):
        CorruptedImages(source=str(tmp_path / "nowhere.npz"))
    for content in (b"", b"PK\x03\x04 and no more", b"\x80\x04pickle"):
        (tmp_path / "broken.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"the images .*broken\.npz are no archive of plain arrays"):
            CorruptedImages(source=str(tmp_path / "broken.npz"))
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(ValueError, match=r"the images .*folder\.npz cannot be read: Is a directory"):
        CorruptedImages(source=tmp_path / "folder.npz")


def altered_zip(content, offsets, change):
    """Return an archive with a byte of every header of an entry changed; offsets in the local and in the central header."""
    content = bytearray(content)
    for mark, offset in zip((b"PK\x03\x04", b"PK\x01\x02"), offsets, strict=True):
        start = -1
        while (start := content.find(mark, start + 1)) >= 0:
            content[start + offset] = change(content[start + offset])
    return bytes(content)


def entries(**texts):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("train_images", "train_labels", "test_images", "test_labels"):
            archive.writestr(*texts.get(name, (f"{name}.npy", b"")))
    return file.getvalue()


def header(shape):
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


BROKEN = {
    "cut short": lambda whole: whole[: len(whole) // 2],
    "its end cut off": lambda whole: whole[:-10],
    "a byte changed": lambda whole: whole[:200] + bytes([whole[200] ^ 255]) + whole[201:],
    "one array": lambda _: header("(3,)") + b"abc",
    "a compression that there is not": lambda whole: altered_zip(whole, (8, 10), lambda _: 99),
    "encrypted": lambda whole: altered_zip(whole, (6, 8), lambda flags: flags | 1),
    "entries that are no arrays": lambda _: entries(train_images=("train_images", b"raw"), train_labels=("train_labels", b"")),
    "more than there is memory for": lambda _: entries(train_images=("train_images.npy", header(f"({10**15},)"))),
}  # fmt: skip


@pytest.mark.parametrize("how", BROKEN)
def test_a_damaged_archive_is_a_sentence(how, archive, tmp_path):
    whole = Path(archive()).read_bytes()
    (tmp_path / "broken.npz").write_bytes(BROKEN[how](whole))
    with pytest.raises(ValueError, match=r"^the images \S+broken\.npz are no archive of plain arrays: \S") as error:
        CorruptedImages(source=str(tmp_path / "broken.npz"), **SMALL)
    assert "\n" not in str(error.value)
    assert "pickle" not in str(error.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(ValueError, match=r"the images \S+pipe\.npz cannot be read: it is no file"):
        CorruptedImages(source=str(tmp_path / "pipe.npz"), **SMALL)


def test_of_many_classes_the_first_are_named(archive):
    path = archive(classes=np.array([f"class {number}" for number in range(256)]))
    with pytest.raises(ValueError, match=r"'class 10', 'class 11' and 244 more for"):
        CorruptedImages(source=path, **SMALL)


def test_a_file_takes_the_place_of_the_full_cifar10(archive):
    path = archive(shape=(32, 32, 3))
    experiment = CORRUPTED_CIFAR.replace(task=CorruptedImages(train=6, test=4, source="full"))
    replaced = from_file(experiment, path)
    assert replaced == experiment.replace(task=CorruptedImages(train=6, test=4, source=path))
    for other in (SINUSOIDS, CORRUPTED_CIFAR_SMALL, MNIST_ARCHITECTURES):
        assert from_file(other, path) is other
    with pytest.raises(ValueError, match="train must be at most 12 images, half of each class, got 10000"):
        from_file(CORRUPTED_CIFAR, path)
    with pytest.raises(ValueError, match=r"images of cifar10 must be of shape \(3, 32, 32\), got \(3, 32, 31\) in .*"):
        from_file(experiment, archive(shape=(3, 32, 31)))


# ---------------------------------------------------------------------------------------------------- folders


@pytest.fixture
def pictures(tmp_path):
    """A function that writes pictures, named by folder, and returns their folder."""

    def write(mode="RGB", size=(7, 5), **counts):
        for number, (name, count) in enumerate(counts.items()):
            folder = tmp_path / "pictures" / name.replace("__", "/")
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                Image.new(mode, size, (40 * number + index,) * len(mode) if mode != "L" else 40 * number + index).save(
                    folder / f"{index:02}.png"
                )
        return tmp_path / "pictures"

    return write


def test_a_folder_a_class_is_packed(pictures, tmp_path, capsys):
    folder, out = pictures(cat=10, fox=5, owl=5), tmp_path / "out.npz"
    (folder / "empty").mkdir()
    (folder / "cat" / "notes.txt").write_text("no picture")
    assert __main__.main(["pack", str(folder), str(out)]) == 0
    assert "16 pictures to train and 4 to test of 3 × 5 × 7 are in" in capsys.readouterr().out
    opened = archives.open_archive(out)
    assert opened.classes == ("cat", "fox", "owl")
    assert opened.images.train_labels.tolist() == [0] * 8 + [1] * 4 + [2] * 4
    assert opened.images.train_images[:, 0, 0, 0].tolist() == [*range(8), *range(40, 44), *range(80, 84)]
    assert opened.images.test_images[:, 2, 4, 6].tolist() == [8, 9, 44, 84]
    before = out.read_bytes()
    pack(folder, out)
    assert out.read_bytes() == before
    assert CorruptedImages(source=out, classes=("owl", "cat"), train=8, test=2).inputs == 105


@pytest.mark.parametrize("tests", ["test", "val"])
def test_a_folder_that_says_what_is_for_tests(tests, pictures, tmp_path):
    folder = pictures("L", (6, 4), train__a=3, train__b=2, **{f"{tests}__a": 1, f"{tests}__b": 4})
    packed = pack(folder, tmp_path / "out.npz", side=8)
    assert packed == (("a", "b"), 5, 5, (1, 8, 8))


def test_grey_among_colours_is_a_colour(pictures, tmp_path):
    pictures("L", a=2)
    assert pack(pictures("RGBA", b=2), tmp_path / "out.npz", share=0.5).shape == (3, 5, 7)


def test_folders_that_cannot_be_packed(pictures, tmp_path, capsys):
    folder, out = pictures(a=4, b=4), tmp_path / "out.npz"

    def said(*arguments):
        assert __main__.main(["pack", *map(str, arguments)]) == 1
        return capsys.readouterr().err

    assert "the archive must be a file that ends in .npz, got" in said(folder, tmp_path / "out.zip")
    assert "the folder nowhere cannot be read: No such file or directory" in said("nowhere", out)
    one = said(folder.parent, out)
    assert "must hold a folder of pictures for each of 2 to 256 classes, the same to train and to test" in one
    assert "got ['pictures'] and ['pictures']" in one
    assert "--size must be a whole number of at least 1, got 0" in said(folder, out, "--size", 0)
    assert "the share of pictures for tests must be a number between 0 and 1, got 1.0" in said(folder, out, "--test-share", 1)
    assert "cannot be written: No such file or directory" in said(folder, tmp_path / "no" / "out.npz")
    pictures(size=(7, 6), c=2)
    assert "pictures must be of one size, got" in said(folder, out)
    assert "c/00.png of 6 × 7 and" in said(folder, out)
    (folder / "a" / "00.png").write_bytes(b"no picture")
    assert "a/00.png cannot be read as a picture" in said(folder, out)
    assert not out.exists()


def test_images_are_what_was_packed(archive):
    with pytest.raises(ValueError, match="read-only"):
        load("cifar10", ("a", "b"), archive()).train_images[0] = 0
    assert isinstance(load("", ("a", "b"), archive()), Images)
