"""The words a user may choose from."""

from bthcheck.choices import share_of_devices


def test_gpus_are_dealt_out_over_workers():
    assert [share_of_devices("cuda", worker, 3) for worker in range(4)] == ["cuda:0", "cuda:1", "cuda:2", "cuda:0"]
    assert share_of_devices("cuda", 2, 1) == "cuda"
    assert share_of_devices("cuda:1", 2, 4) == "cuda:1"
    assert share_of_devices("cpu", 2, 4) == "cpu"
