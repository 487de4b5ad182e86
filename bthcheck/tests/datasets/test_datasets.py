import gzip
import hashlib
import pickle
import shlex
import subprocess
import sys

import numpy as np
import pytest

from bthcheck.datasets import (
    CLASSES,
    SHAPES,
    Images,
    __main__,
    check_images,
    embedded,
    first_of_each_class,
    full,
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
        ("mnist", ("3", "6"), "web", "source must be one of 'embedded', 'full', got 'web'"),
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


# ---------------------------------------------------------------------------------------------------- full


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


# ---------------------------------------------------------------------------------------------------- the script


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
