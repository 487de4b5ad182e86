import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from bthcheck.datasets import load
from bthcheck.tasks import CorruptedImages, Sinusoid, SinusoidSign, TwoClusters
from bthcheck.training.streams import stream


def test_targets_are_the_product_of_cosines_of_the_plane_coordinates():
    task = Sinusoid(frequency=0.75, train=40, test=20, inputs=7, scale=3.0)
    data = task.sample(stream(5, "data"))
    uv = stream(5, "data").uniform(-1, 1, (60, 2))  # the first draw of the stream
    y = np.cos(2 * np.pi * 0.75 * uv[:, 0]) * np.cos(2 * np.pi * 0.75 * uv[:, 1])
    np.testing.assert_allclose(np.concatenate([data.y_train, data.y_test]), y, rtol=1e-12)


def test_embedding_is_an_isometry_times_scale():
    data = Sinusoid(train=40, test=20, inputs=7, scale=3.0).sample(stream(5, "data"))
    uv = torch.from_numpy(stream(5, "data").uniform(-1, 1, (60, 2)))
    x = torch.cat([data.x_train, data.x_test])
    torch.testing.assert_close(torch.cdist(x, x), 3 * torch.cdist(uv, uv), atol=1e-6, rtol=1e-6)
    assert x.shape == (60, 7)
    assert data.x_train.dtype == data.y_train.dtype == torch.float64


def test_points_do_not_depend_on_the_frequency_but_on_the_seed():
    low, high = (Sinusoid(frequency=f).sample(stream(3, "data")) for f in (0.25, 1.0))
    other = Sinusoid(frequency=0.25).sample(stream(4, "data"))
    assert torch.equal(low.x_train, high.x_train)
    assert torch.equal(low.x_test, high.x_test)
    assert not torch.equal(low.y_train, high.y_train)
    assert not torch.equal(low.x_train, other.x_train)


def test_the_orthogonal_frame_is_uniform():
    # Under the Haar measure an entry has mean 0 and variance 1/n; QR without the sign correction fixes signs instead.
    entries = np.array(
        [Sinusoid(train=1, test=1, inputs=4, scale=1.0).sample(stream(s, "data")).x_train[0, 0] for s in range(2000)]
    )
    assert abs(entries.mean()) < 5 * entries.std() / np.sqrt(2000)


@pytest.mark.parametrize(
    ("field", "value"),
    [("frequency", 0.0), ("frequency", float("nan")), ("scale", -1.0), ("train", 0), ("test", 1.5), ("inputs", 1)],
)
def test_bad_parameters_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        Sinusoid(**{field: value})


LEVELS = (0.0, 0.2, 0.4, 0.6, 1.0)


def test_every_task_says_what_output_it_needs():
    from bthcheck.networks import OUTPUTS

    assert Sinusoid.output == "identity"
    assert {SinusoidSign.output, TwoClusters.output, CorruptedImages.output} == {"sigmoid"}
    assert set(OUTPUTS) == {"identity", "sigmoid"}


def test_a_level_redraws_exactly_its_share_and_about_half_of_it_flips():
    for level in (*LEVELS, 0.0004, 0.0006, 0.3333):
        labels = CorruptedImages(corruption=level).labels(stream(1, "data"))
        assert labels.redrawn.sum() == round(level * 1000)
        flipped = labels.used != labels.clean
        assert not flipped[~labels.redrawn].any()
        assert abs(flipped.sum() - 500 * level) <= 5 * np.sqrt(250 * level)  # five standard deviations
    assert flipped.any()


def test_what_is_redrawn_stays_so_at_every_higher_level():
    by_level = [CorruptedImages(corruption=level).labels(stream(2, "data")) for level in LEVELS]
    for low, high in itertools.pairwise(by_level):
        assert high.redrawn[low.redrawn].all()
        assert high.redrawn.sum() > low.redrawn.sum()
        assert np.array_equal(low.used[low.redrawn], high.used[low.redrawn])
        assert np.array_equal(low.clean, high.clean)


def test_redrawn_labels_are_uniform_whatever_they_were():
    pooled = [CorruptedImages(corruption=0.6).labels(stream(seed, "data")) for seed in range(20)]
    for clean in (0, 1):
        drawn = np.concatenate([labels.used[labels.redrawn & (labels.clean == clean)] for labels in pooled])
        assert abs(drawn.mean() - 0.5) < 2.5 / np.sqrt(len(drawn))  # five standard deviations


def test_images_and_test_labels_are_the_same_at_every_level_and_seed():
    clean = CorruptedImages(train=20, test=10).sample(stream(0, "data"))
    for level, seed in itertools.product(LEVELS, (0, 1)):
        data = CorruptedImages(corruption=level, train=20, test=10).sample(stream(seed, "data"))
        assert torch.equal(data.x_train, clean.x_train)
        assert torch.equal(data.x_test, clean.x_test)
        assert torch.equal(data.y_test, clean.y_test)


def test_the_stream_moves_on_alike_at_every_level():
    after = []
    for level in LEVELS:
        generator = stream(3, "data")
        CorruptedImages(corruption=level, train=100, test=2).sample(generator)
        after.append(generator.random())
    assert len(set(after)) == 1


def test_seeds_redraw_different_labels_and_a_seed_the_same():
    task = CorruptedImages(corruption=0.4)
    first, again, other = (task.labels(stream(seed, "data")) for seed in (4, 4, 5))
    assert np.array_equal(first.used, again.used)
    assert not np.array_equal(first.redrawn, other.redrawn)


def test_sample_trains_with_the_labels_it_reports():
    task = CorruptedImages(corruption=0.6, train=200, test=2)
    data, labels = task.sample(stream(6, "data")), task.labels(stream(6, "data"))
    assert data.y_train.tolist() == labels.used.tolist()
    clean = CorruptedImages(train=200, test=2).sample(stream(6, "data"))
    assert clean.y_train.tolist() == labels.clean.tolist()


@pytest.mark.parametrize(
    ("task", "inputs", "shape"),
    [
        (CorruptedImages(train=6, test=4), 3072, (3, 32, 32)),
        (CorruptedImages("mnist", ("3", "6"), train=6, test=4), 784, (1, 28, 28)),
    ],
)
def test_images_are_the_first_flattened_and_scaled(task, inputs, shape):
    assert (task.inputs, task.shape) == (inputs, shape)
    data = task.sample(stream(0, "data"))
    assert [tensor.dtype for tensor in data] == [torch.float32] * 4
    assert (data.x_train.shape, data.x_test.shape) == ((6, inputs), (4, inputs))
    images = load(task.dataset, task.classes)
    first = [np.flatnonzero(images.train_labels == label)[:3] for label in (0, 1)]
    order = sorted(np.concatenate(first).tolist())
    assert data.y_train.tolist() == images.train_labels[order].tolist()
    restored = (data.x_train.double() + 1) * 127.5
    np.testing.assert_allclose(restored.reshape(6, *shape), images.train_images[order], atol=1e-4)
    assert data.x_train.min() >= -1
    assert data.x_train.max() <= 1


def test_pixels_reach_both_ends_of_the_scale():
    x = CorruptedImages().sample(stream(0, "data")).x_train
    assert (x.min(), x.max()) == (-1, 1)


def test_a_sample_may_be_written_without_changing_the_next():
    task = CorruptedImages("mnist", ("3", "6"), train=4, test=2)
    for tensor in task.sample(stream(0, "data")):
        tensor.fill_(7)
    assert not any((tensor == 7).any() for tensor in task.sample(stream(0, "data")))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"corruption": -0.1}, "corruption must be a number from 0 to 1, got -0.1"),
        ({"corruption": 1.1}, "corruption"),
        ({"corruption": float("nan")}, "corruption"),
        ({"corruption": "0.2"}, "corruption"),
        ({"corruption": True}, "corruption"),
        ({"dataset": "svhn"}, "dataset must be one of"),
        ({"dataset": "mnist"}, "classes must be two different ones of '0', .* for mnist"),
        ({"classes": ("airplane", "cat")}, "other classes need source='full'"),
        ({"classes": ("dog", "dog")}, "classes"),
        ({"source": "web"}, "source"),
        ({"train": 0}, "train"),
        ({"train": 101}, "train must be even"),
        ({"test": 3}, "test must be even"),
        ({"test": 10.0}, "test"),
        ({"train": 1002}, "train must be at most 1000"),
        ({"test": 502}, "test must be at most 500"),
        ({"dataset": "mnist", "classes": ("3", "6")}, "train must be at most 200"),
    ],
)
def test_images_that_cannot_be_had_are_refused(fields, message):
    with pytest.raises(ValueError, match=message) as error:
        CorruptedImages(**fields)
    assert "\n" not in str(error.value)


def test_more_images_than_the_full_data_set_has_are_refused(monkeypatch):
    from bthcheck import tasks

    monkeypatch.setattr(tasks, "load", lambda dataset, classes, source: load(dataset, classes))
    task = CorruptedImages("mnist", ("3", "6"), train=202, test=2, source="full")
    with pytest.raises(ValueError, match="train must be at most 200 images, half of each class, got 202"):
        task.sample(stream(0, "data"))


def test_the_sign_of_the_sinusoid_is_a_chessboard():
    task = SinusoidSign(frequency=0.5)
    u = np.array([-0.9, -0.4, 0.0, 0.4, 0.6, 0.9])
    labels = task.target(np.stack(np.meshgrid(u, u, indexing="ij"), axis=-1))
    side = np.abs(u) > 0.5  # cos(πu) changes sign at ±1/2
    np.testing.assert_array_equal(labels, (side[:, None] == side[None]).astype(float))
    data, smooth = (one.sample(stream(2, "data")) for one in (task, Sinusoid(frequency=0.5)))
    assert torch.equal(data.x_train, smooth.x_train)
    assert torch.equal(data.y_train, (smooth.y_train > 0).double())


def test_clusters_are_uniform_balls_on_a_random_axis():
    task = TwoClusters(distance=6.0, radius=0.5, train=4000, test=10, inputs=3)
    data = task.sample(stream(1, "data"))
    x, y = data.x_train.numpy(), data.y_train.numpy()
    assert stats.binomtest(int(y.sum()), len(y)).pvalue > 1e-4
    centres = np.array([x[y == label].mean(axis=0) for label in (0, 1)])
    assert np.linalg.norm(centres[1] - centres[0]) == pytest.approx(6, abs=0.05)
    np.testing.assert_allclose(centres[0], -centres[1], atol=0.05)
    axis = (centres[1] - centres[0]) / 6
    distance = np.linalg.norm(x - (y[:, None] - 0.5) * 6 * axis, axis=1)
    assert distance.max() < 0.55
    assert stats.kstest((distance / 0.5) ** 3, "uniform").pvalue > 1e-4  # volume
    other = TwoClusters(train=4, test=2, inputs=3).sample(stream(2, "data")).x_train[0]
    assert abs(float(other @ torch.from_numpy(axis)) / float(other.norm())) < 0.999


def test_more_points_of_a_task_are_those_of_its_distribution():
    for task in (Sinusoid(), SinusoidSign(), TwoClusters()):
        x, y = task.fresh(stream(0, "data"), stream(0, "fresh"), 50)
        data = task.sample(stream(0, "data"))
        assert x.dtype == data.x_train.dtype
        if isinstance(task, Sinusoid):
            uv = x @ task.plane(stream(0, "data")) / task.scale**2
            np.testing.assert_allclose(y, task.target(uv.numpy()), atol=1e-12)
            np.testing.assert_allclose(data.y_train, task.target((data.x_train @ task.plane(stream(0, "data"))).numpy() / 100))
        else:
            side = data.x_train[data.y_train == 1].mean(0)
            np.testing.assert_array_equal((x @ side > 0).double(), y)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"radius": 10.0}, "radius must be below half the distance 20, got 10"),
        ({"radius": 0}, "radius must be a finite number above 0, got 0"),
        ({"train": 0}, "train must be a whole number of at least 1, got 0"),
    ],
)
def test_clusters_that_overlap_or_are_nothing_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        TwoClusters(**fields)
