"""The full data sets in torchvision's layout: read, checked and fetched."""

import gzip
import hashlib
import pickle
import shlex
import sys

import numpy as np
import pytest

from bthcheck.datasets import (
    CLASSES,
    __main__,
    full,
    load,
)

PAIRS = {"cifar10": ("airplane", "dog"), "mnist": ("3", "6")}


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """A folder with a CIFAR-10 of 20 training images a batch and 30 test images, in the original layout."""
    datasets = pytest.importorskip("torchvision.datasets")
    generator = np.random.default_rng(1)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()

    def write(name, content):
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
        return [name, _md5(folder / name)]

    def batch(name, size):
        pixels = generator.integers(0, 256, (size, 3072), dtype=np.uint8)
        return write(name, {"data": pixels, "labels": np.resize(np.arange(10), size).tolist()})

    cifar10 = datasets.CIFAR10
    monkeypatch.setattr(cifar10, "train_list", [batch(f"data_batch_{i}", 20) for i in range(1, 6)])
    monkeypatch.setattr(cifar10, "test_list", [batch("test_batch", 30)])
    meta = write("batches.meta", {"label_names": list(CLASSES["cifar10"])})
    monkeypatch.setattr(cifar10, "meta", {**cifar10.meta, "md5": meta[1]})
    return tmp_path


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    """A folder with an MNIST of 50 training and 20 test images, in the original layout."""
    pytest.importorskip("torchvision")
    generator = np.random.default_rng(2)
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split, size in (("train", 50), ("t10k", 20)):
        pixels = generator.integers(0, 256, (size, 28, 28), dtype=np.uint8)
        (raw / f"{split}-images-idx3-ubyte").write_bytes(_idx(pixels))
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(_idx(np.resize(np.arange(10, dtype=np.uint8), size)))
    monkeypatch.setattr(full, "MNIST_MD5", {name: _md5(raw / name) for name in full.MNIST_MD5})
    return tmp_path


def _idx(array):
    header = np.array([0x0800 + array.ndim, *array.shape], ">u4")
    return header.tobytes() + array.tobytes()


def _md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_full_cifar10_is_what_the_batches_hold(cifar10):
    images = load("cifar10", ("dog", "airplane"), "full", cifar10)
    batches = [pickle.loads((cifar10 / "cifar-10-batches-py" / f"data_batch_{i}").read_bytes()) for i in range(1, 6)]
    pixels = np.concatenate([batch["data"] for batch in batches])
    assert images.train_labels.tolist() == [1, 0] * 10  # airplane is 0 and dog 5 of every ten
    expected = np.stack([pixels[10 * i + j] for i in range(10) for j in (0, 5)])
    assert np.array_equal(images.train_images.reshape(20, 3072), expected)
    assert images.test_images.shape == (6, 3, 32, 32)
    assert not images.train_images.flags.writeable


def test_full_mnist_is_what_the_idx_files_hold(mnist):
    images = load("mnist", ("3", "6"), "full", mnist)
    content = (mnist / "MNIST" / "raw" / "t10k-images-idx3-ubyte").read_bytes()
    pixels = np.frombuffer(content, np.uint8, offset=16).reshape(20, 28, 28)
    assert images.test_labels.tolist() == [0, 1, 0, 1]
    assert np.array_equal(images.test_images[:, 0], pixels[[3, 6, 13, 16]])
    assert images.train_images.shape == (10, 1, 28, 28)


def test_published_checksums_are_torchvisions():
    datasets = pytest.importorskip("torchvision.datasets")
    assert [f"{name}.gz" for name in full.MNIST_MD5] == [name for name, _ in datasets.MNIST.resources]


def test_files_that_an_old_torchvision_converted_are_not_used(mnist):
    torch = pytest.importorskip("torch")
    processed = mnist / "MNIST" / "processed"
    processed.mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(7, 28, 28, dtype=torch.uint8), torch.full((7,), 3)), processed / name)
    assert len(load("mnist", ("3", "6"), "full", mnist).train_labels) == 10


MNIST_FILES = [f"MNIST/raw/{name}" for name in full.MNIST_MD5]
CIFAR10_FILES = [f"cifar-10-batches-py/{name}" for name in ("data_batch_1", "data_batch_5", "test_batch", "batches.meta")]


@pytest.mark.parametrize("harm", ["missing", "truncated", "altered", "empty"])
@pytest.mark.parametrize(
    ("dataset", "name"), [("mnist", name) for name in MNIST_FILES] + [("cifar10", name) for name in CIFAR10_FILES]
)
def test_a_data_set_with_one_bad_file_is_never_used(dataset, name, harm, request):
    root = request.getfixturevalue(dataset)
    content = bytearray((root / name).read_bytes())
    if harm == "missing":
        (root / name).unlink()
    else:
        content[-1] ^= 1
        (root / name).write_bytes({"truncated": content[:-1], "altered": content, "empty": b""}[harm])
    command = f"fetch it with: python -m bthcheck.datasets download {dataset} --data-root {shlex.quote(str(root))}"
    with pytest.raises(ValueError, match=name) as error:
        load(dataset, PAIRS[dataset], "full", root)
    assert str(error.value).endswith(command)
    assert ("is missing" if harm == "missing" else "is incomplete or altered") in str(error.value)
    assert "\n" not in str(error.value)


def test_idx_files_of_another_size_are_refused(mnist, monkeypatch):
    path = mnist / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(_idx(np.zeros((50, 14, 14), np.uint8)))
    monkeypatch.setitem(full.MNIST_MD5, path.name, _md5(path))
    with pytest.raises(ValueError, match=r"train images of mnist must be uint8 of shape \(m, 1, 28, 28\)"):
        load("mnist", ("3", "6"), "full", mnist)


def test_batches_of_another_size_are_refused(cifar10, monkeypatch):
    datasets = pytest.importorskip("torchvision.datasets")
    path = cifar10 / "cifar-10-batches-py" / "test_batch"
    batch = {"data": np.zeros((40, 16 * 16 * 3), np.uint8), "labels": np.resize(np.arange(10), 40).tolist()}
    path.write_bytes(pickle.dumps(batch, protocol=2))  # 40 small images hold as many numbers as 10 of the right size
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [[path.name, _md5(path)]])
    with pytest.raises(ValueError, match="test images of cifar10 must be as many as its labels, got 10 and 40"):
        load("cifar10", ("airplane", "dog"), "full", cifar10)


def test_the_folder_is_the_argument_or_the_environments_or_data(monkeypatch, tmp_path):
    monkeypatch.delenv("BTHCHECK_DATA_ROOT", raising=False)
    assert str(full.folder()) == "data"
    monkeypatch.setenv("BTHCHECK_DATA_ROOT", "elsewhere")
    assert str(full.folder()) == "elsewhere"
    assert full.folder(tmp_path) == tmp_path
    pytest.importorskip("torchvision")
    with pytest.raises(
        ValueError, match=r"elsewhere/MNIST/raw/train-images.* is missing; fetch it with: .*--data-root elsewhere$"
    ):
        load("mnist", ("3", "6"), "full")


def test_without_torchvision_the_way_to_install_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ValueError, match="need torchvision; install it with"):
        load("mnist", ("3", "6"), "full", tmp_path)


# ---------------------------------------------------------------------------------------------------- download


@pytest.fixture
def no_network(monkeypatch):
    """A list of what torchvision was asked to fetch; nothing is fetched."""
    asked = []

    def refuse(url, *arguments, **options):
        asked.append(url)
        raise RuntimeError("no network")

    monkeypatch.setattr(pytest.importorskip("torchvision.datasets.utils"), "download_and_extract_archive", refuse)
    return asked


@pytest.mark.parametrize("dataset", CLASSES)
def test_loading_never_downloads(dataset, tmp_path, no_network):
    with pytest.raises(ValueError, match="is missing"):
        load(dataset, PAIRS[dataset], "full", tmp_path)
    assert not no_network
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dataset", CLASSES)
def test_what_is_there_in_full_is_not_fetched_again(dataset, request, no_network, capsys):
    root = request.getfixturevalue(dataset)
    assert __main__.main(["download", dataset, "--data-root", str(root)]) == 0
    assert not no_network
    assert str(root) in capsys.readouterr().out


@pytest.mark.parametrize("dataset", CLASSES)
def test_a_failed_download_is_one_sentence(dataset, tmp_path, no_network, capsys):
    assert __main__.main(["download", dataset, "--data-root", str(tmp_path)]) == 1
    assert no_network
    message = capsys.readouterr().err
    assert message.startswith(f"{dataset} could not be downloaded to {tmp_path}: ")
    assert "no network" in message
    assert message.count("\n") == 1


def test_every_mirror_is_asked(tmp_path, no_network):
    datasets = pytest.importorskip("torchvision.datasets")
    with pytest.raises(ValueError, match="could not be downloaded"):
        full.download("mnist", tmp_path)
    assert no_network == [f"{mirror}train-images-idx3-ubyte.gz" for mirror in datasets.MNIST.mirrors]


@pytest.mark.parametrize(("dataset", "name"), [("mnist", MNIST_FILES[2])] + [("cifar10", name) for name in CIFAR10_FILES])
def test_a_file_unpacked_halfway_is_unpacked_again(dataset, name, request, monkeypatch):
    root = request.getfixturevalue(dataset)
    whole = (root / name).read_bytes()
    before = load(dataset, PAIRS[dataset], "full", root)
    (root / name).write_bytes(whole[: len(whole) // 2])
    fetched = []

    def fetch(url, download_root, filename, md5):
        fetched.append(filename)
        (root / name).write_bytes(whole)

    monkeypatch.setattr(pytest.importorskip("torchvision.datasets.utils"), "download_and_extract_archive", fetch)
    full.download(dataset, root)
    assert fetched == [f"{name.rpartition('/')[2]}.gz" if dataset == "mnist" else "cifar-10-python.tar.gz"]
    full._read.cache_clear()
    after = load(dataset, PAIRS[dataset], "full", root)
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_archives_are_unpacked_where_they_are_looked_for(tmp_path, monkeypatch):
    # torchvision finds the compressed files in place, so that it has nothing to fetch.
    datasets = pytest.importorskip("torchvision.datasets")
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    resources, unpacked = [], {}
    for name in full.MNIST_MD5:
        content = _idx(np.zeros((9, 28, 28) if "images" in name else 9, np.uint8))
        (raw / f"{name}.gz").write_bytes(gzip.compress(content))
        resources.append((f"{name}.gz", _md5(raw / f"{name}.gz")))
        unpacked[name] = hashlib.md5(content).hexdigest()
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    monkeypatch.setattr(full, "MNIST_MD5", unpacked)
    full.download("mnist", tmp_path)
    assert len(load("mnist", ("0", "1"), "full", tmp_path).train_labels) == 9


def test_a_download_that_gave_something_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(
        pytest.importorskip("torchvision.datasets.utils"), "download_and_extract_archive", lambda *args, **kwargs: None
    )
    with pytest.raises(ValueError, match=r"was downloaded but .*train-images-idx3-ubyte is missing"):
        full.download("mnist", tmp_path)
