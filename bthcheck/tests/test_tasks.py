import numpy as np
import pytest
import torch

from bthcheck.tasks import Sinusoid
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
