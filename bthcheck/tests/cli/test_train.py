"""``bthcheck train``: results, figures and page; what it refuses; and what Ctrl-C leaves."""

import functools
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr

from bthcheck.cli.train import _name
from bthcheck.tests.report.test_report import CHROMIUM, REQUIRED, browse
from bthcheck.training.stored import load

TINY = ("--samples", 6, "--test", 3, "--epochs", 3, "--engine", "reference", "--mlp", "10-10-4-1")
LEVELS = ("--frequency", 0.5, 1, "--repeats", 2)
FIGURES = ("bias-variance", "distance", "lipschitz", "phi", "test-loss", "test-loss-trajectory", "train-loss", "trajectory")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which a tiny experiment was trained, and what was printed."""
    folder = tmp_path_factory.mktemp("trained")
    command = [sys.executable, "-m", "bthcheck", "train", *map(str, (*TINY, *LEVELS)), "--output", "out"]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return folder, process


def test_a_table_says_what_was_measured(trained):
    _, process = trained
    lines = process.stdout.splitlines()
    assert lines[0].split("  ")[0] == "frequency"
    assert [line.split()[0] for line in lines[1:3]] == ["0.5", "1"]
    assert re.fullmatch(r"0 runs from the cache, 4 trained in \d+\.\d s of one core", lines[3])
    assert lines[4:] == ["results: out/results.nc", "page: out/index.html"]
    assert [line for line in process.stderr.splitlines() if not line.startswith("training ")] == []


def test_the_results_are_those_that_python_trains(trained):
    import bthcheck
    from bthcheck.experiments import SINUSOIDS
    from bthcheck.networks import MLP
    from bthcheck.tasks import Sinusoid

    folder, _ = trained
    saved = xr.load_dataset(folder / "out" / "results.nc", engine="scipy")
    experiment = SINUSOIDS.replace(
        task=Sinusoid(train=6, test=3), network=MLP((10, 10, 4, 1)), levels=(0.5, 1.0), seeds=(0, 1), epochs=3
    )
    assert saved.identical(bthcheck.run(experiment, engine="reference", progress=False))
    assert saved.bthcheck.weights(1.0, 1).first.bias.shape == (10,)


def test_every_figure_is_there_as_svg_and_png(trained):
    folder, _ = trained
    names = {path.name for path in (folder / "out" / "figures").iterdir()}
    assert names == {f"{name}.{suffix}" for name in FIGURES for suffix in ("svg", "png")}
    assert all((folder / "out" / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG") for name in FIGURES)


def test_the_page_holds_everything_and_runs_nothing(trained):
    folder, process = trained
    page = (folder / "out" / "index.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "http" not in page
    assert page.count('<svg viewBox="') == len(FIGURES)
    for cell in process.stdout.splitlines()[1].split():
        assert f">{cell}</td>" in page
    assert "2 levels of frequency (0.5, 1.0) × 2 seeds (0, 1) × 3 epochs" in " ".join(page.split())
    assert len(page) < 5e6


@pytest.mark.skipif(not CHROMIUM and not REQUIRED, reason="no Chromium")
def test_the_page_opens_in_a_browser(trained, tmp_path):
    text = browse(["--dump-dom"], trained[0] / "out" / "index.html", tmp_path / "profile").stdout
    assert "What training reveals of sinusoids" in text


def test_the_same_again_trains_nothing_and_writes_the_same(trained, bth):
    folder, _ = trained
    before = {path: path.read_bytes() for path in (folder / "out").rglob("*.*")}
    outcome = bth(*TINY, *LEVELS, "--output", "out", cwd=folder)  # without the verb
    assert outcome.code == 0, outcome.text
    assert "4 runs from the cache, 0 trained in 0.0 s" in outcome.out
    assert {path: path.read_bytes() for path in (folder / "out").rglob("*.*")} == before


def test_results_of_another_experiment_are_not_replaced_in_silence(trained, bth):
    folder, _ = trained
    before = (folder / "out" / "results.nc").read_bytes()
    outcome = bth("train", *TINY, "--output", "out", cwd=folder)
    assert outcome.code == 2
    assert "out holds results of another experiment: name another folder with --output, or replace them" in outcome.err
    assert (folder / "out" / "results.nc").read_bytes() == before
    (folder / "page").mkdir()
    (folder / "page" / "index.html").write_text("a report")
    outcome = bth("train", *TINY, "--output", "page", cwd=folder)
    assert outcome.code == 2
    assert "page holds a page of something else" in outcome.err
    (folder / "page" / "results.nc").write_text("something")
    outcome = bth("train", *TINY, "--output", "page", cwd=folder)
    assert "page holds a results.nc that is no result of bthcheck train" in outcome.err
    assert bth("train", *TINY, "--output", "page", "--overwrite", cwd=folder).code == 0
    assert len(xr.load_dataset(folder / "page" / "results.nc", engine="scipy").frequency) == 1


def test_what_was_trained_is_drawn_again(trained, bth):
    folder, process = trained
    outcome = bth("--load", folder / "out" / "results.nc", "--output", "again")
    assert outcome.code == 0, outcome.text
    assert outcome.out.splitlines()[:3] == process.stdout.splitlines()[:3]
    for path in (folder / "out").rglob("*.*"):
        assert (bth.folder / "again" / path.relative_to(folder / "out")).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("content", [b"", b"CDF\x01", b"CDF\x02" + b"\xff" * 64, b"text", b"\x89HDF\r\n\x1a\n"])
def test_a_file_that_is_none_of_ours_is_refused(bth, content):
    (bth.folder / "x.nc").write_bytes(content)
    outcome = bth("train", "--load", "x.nc")
    assert outcome.code == 1
    assert "Error: x.nc is no file of results that bthcheck saved: " in outcome.err
    assert "Traceback" not in outcome.text


def test_a_file_that_is_not_there_is_refused(said):
    assert said("train", "--load", "none.nc") == (1, "Error: none.nc cannot be used: No such file or directory\n")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--load", "x.nc", "--epochs", 3), 2, "--load draws what is in x.nc as it was trained, so that --epochs can"),
        (("--load-data", "x"), 2, "--load-data of the authors' command has no counterpart here: --load FILE draws"),
        (("--load_model=x",), 2, "--load-model of the authors' command has no counterpart here"),
        (("--epochs",), 2, "--epochs needs a value, got none"),
        (("--epochs", "many"), 2, "'--epochs': 'many' is not a valid int"),
        (("--epochs", 0), 2, "--epochs must be a whole number of at least 1, got 0"),
        (("0.5",), 2, "Got unexpected extra argument"),
        (("--threads", 0), 2, "'--threads'"),
        (("--engine", "warp"), 2, "'warp' is not one of 'auto', 'fused', 'stacked', 'reference'"),
        (("--device", "abacus"), 2, "device must be 'auto', 'cpu', 'cuda' or 'cuda:N', got 'abacus'"),
        (("--device", "cuda:77"), 2, "device 'cuda:77' is not available"),
        (("--dataset", "svhn"), 2, "'svhn' is not one of 'sinusoids', 'cifar10', 'mnist'"),
        (("--seeds", f"0,{2**31}"), 2, f"--seeds must be at most {2**31 - 1}, got {2**31}"),
        (("--dask", "local:0"), 2, "--dask local:N needs a whole number of processes from 1 to"),
        (("--dask", "nowhere"), 2, "--dask must be the address of a Dask scheduler"),
        (("--dask", "tcp://127.0.0.1:1"), 2, "--dask: no Dask scheduler answers at tcp://127.0.0.1:1"),
        (("--dask", "local:1", "--threads", 1), 2, "--threads are of this process, which trains nothing with --dask"),
        (("--cnn", "--samples", 2000, "--data-root", "none"), 1, "data_batch_1 is missing; fetch it with"),
    ],
)  # fmt: skip
def test_what_is_typed_wrong_is_a_sentence(said, arguments, code, sentence):
    status, text = said("train", *arguments)
    assert sentence in " ".join(text.split())
    assert status == code
    assert "Traceback" not in text


def test_an_output_that_is_no_folder_is_refused(bth):
    (bth.folder / "file").write_text("")
    outcome = bth("train", *TINY, "--output", "file")
    assert outcome.code == 2
    assert "--output must be a folder, got file, which is none" in outcome.err
    outcome = bth("train", *TINY, "--cache-dir", "file")
    assert outcome.code == 1
    assert "the cache folder file cannot be used" in outcome.err


def test_a_full_disk_is_said_after_the_numbers(bth, tiny_disk):
    outcome = bth("train", *TINY, "--no-cache", "--output", tiny_disk / "out")
    assert outcome.code == 1
    assert "training loss" in outcome.out
    assert re.search(r"Error: .* cannot be written: No space left on device", outcome.err)
    assert not list(tiny_disk.rglob("*.tmp"))


def test_diverged_runs_are_said_and_drawn(bth):
    outcome = bth("train", *TINY, "--learning-rate", 1e6, "--output", "out")
    assert outcome.code == 0, outcome.text
    assert "1 of 1 runs diverged: their statistics are infinite from there on" in outcome.out
    assert "1 run diverged." in (bth.folder / "out" / "index.html").read_text(encoding="utf-8")


def test_images_have_errors_and_windows_have_gaps(bth):
    outcome = bth("mlp", "--dataset", "mnist", "--mlp", "784-784-4-1", "--samples", 4, "--test", 2, "--epochs", 2,
                  "--windows", 2, "--engine", "reference", "--output", "out")  # fmt: skip
    assert outcome.code == 0, outcome.text
    assert "test error" in outcome.out
    assert (bth.folder / "out" / "figures" / "test-error.png").exists()


def test_a_folder_is_named_after_the_flags(bth):
    outcome = bth(*TINY)
    assert outcome.code == 0, outcome.text
    (folder,) = (bth.folder / "bthcheck-train").iterdir()
    assert folder.name == "sinusoids-samples-6-test-3-epochs-3-mlp-10-10-4-1"
    from bthcheck.experiments import SINUSOIDS

    many = {"frequency": tuple(np.linspace(0.1, 1, 40))}
    other = {"frequency": tuple(np.linspace(0.1, 1, 41))}
    names = {_name(values, False, SINUSOIDS.replace(levels=values["frequency"])) for values in (many, other)}
    assert len(names) == 2
    assert max(map(len, names)) < 120


# -------------------------------------------------------------------------------------------------------- Dask


def test_dask_trains_the_same(bth):
    pytest.importorskip("distributed")
    here = bth("train", *TINY, "--output", "here", "--no-cache")
    there = bth("train", *TINY, "--output", "there", "--dask", "local:1")
    assert (here.code, there.code) == (0, 0), there.text
    one, other = (load(bth.folder / name / "results.nc") for name in ("here", "there"))
    assert one.identical(other)
    again = bth("train", *TINY, "--output", "there", "--dask", "tcp://127.0.0.1:1")
    assert again.code == 2  # who is named has to be there, also where nothing is left to train


def test_what_fails_on_the_workers_is_a_sentence(said, monkeypatch):
    from bthcheck.training import clusters, engines
    from bthcheck.training.dispatch import Failed

    def fails(experiment, **_):
        raise Failed("one failed twice on Dask: MemoryError; 3 of 6 runs are kept in x")

    class Connected:
        client = None

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(engines, "run", fails)
    monkeypatch.setattr(clusters, "connect", lambda *_: Connected())
    assert said("train", *TINY, "--dask", "local:1") == (
        1, "Error: one failed twice on Dask: MemoryError; 3 of 6 runs are kept in x\n"
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------ Ctrl-C


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as on POSIX")
def test_what_was_finished_is_kept_and_said(tmp_path):
    """Six runs of seconds, one after the other, interrupted once the first is there."""
    command = [sys.executable, "-m", "bthcheck", "train", *map(str, TINY), "--threads", "1", "--seeds", "0,1"]
    command += ["--learning-rate", "0.001", "0.002", "0.003", "--epochs", "1000"]
    command.remove("3")
    command.remove("--epochs")
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )  # fmt: skip
    for _ in range(2400):
        if list(tmp_path.glob(".bthcheck_cache/*.safetensors")):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    kept = len(list(tmp_path.glob(".bthcheck_cache/*.safetensors")))
    assert 1 <= kept < 6
    said = [line for line in err.splitlines() if not line.startswith("training ")]
    assert said == [f"interrupted: {kept} of 6 runs are finished, and in .bthcheck_cache: the same command goes on from there"]


@pytest.mark.parametrize(
    ("more", "kept"), [((), "in .bthcheck_cache: the same"), (("--no-cache",), "lost, because --no-cache")]
)
def test_where_finished_runs_are_is_said(said, monkeypatch, more, kept):
    from bthcheck.training import engines

    def interrupted(experiment, *, progress, **_):
        progress.start(3)
        progress.finish(None, "", True, 1.0)
        progress.finish(None, "", False, 1.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(engines, "run", interrupted)
    code, text = said("train", *TINY, *more)
    assert code == 0  # which `main` returns and click's runner does not
    assert text.startswith(f"interrupted: 2 of 3 runs are finished, and {kept}")


@pytest.mark.skipif(os.name != "posix", reason="a terminal as on POSIX")
def test_a_terminal_is_shown_how_far_training_is(tmp_path):
    import fcntl
    import pty
    import termios

    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))  # on none of no width is anything shown
    longer = [600 if word == 3 and before == "--epochs" else word for before, word in zip(("", *TINY), TINY, strict=False)]
    command = [sys.executable, "-m", "bthcheck", "train", *map(str, (*longer, *LEVELS)), "--no-cache", "--threads", "1"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=side)
    os.close(side)
    text = b""
    while True:
        try:
            part = os.read(main, 4096)
        except OSError:
            break
        if not part:
            break
        text += part
    assert process.wait(60) == 0
    lines = text.decode().split("\r")
    assert any(re.match(r"training sinusoids: [0-3] of 4 runs \(\d+ %\)", line) for line in lines), text
    assert any(re.search(r" left *$", line) for line in lines)
    assert not lines[-1].strip()  # it is taken away


def test_the_configuration_is_in_the_file(trained):
    folder, _ = trained
    saved = xr.load_dataset(folder / "out" / "results.nc", engine="scipy")
    assert json.loads(saved.attrs["experiment"])["training"]["epochs"] == 3
