"""``bthcheck train``: one experiment from flags, its results, figures and page."""

import contextlib
import hashlib
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bthcheck.choices import DEVICES, ENGINES, ROOT_VARIABLE
from bthcheck.cli.errors import INTERRUPTED, Failed, Refused, failing, refusing
from bthcheck.cli.flags import DATASETS, ELSEWHERE, FLAGS, TAKES, options
from bthcheck.cli.progress import Progress
from bthcheck.cli.spelling import flag_of, respelt

if TYPE_CHECKING:
    import xarray as xr

    from bthcheck.experiments import Experiment

FOLDER = "bthcheck-train"
FILE = "results.nc"
CACHE = ".bthcheck_cache"
_LONGEST_NAME = 100
HELP = f"""Train one experiment, print a table of what was measured, and save it with the figures of the paper.

The experiment is the paper's but for the flags that are given: sinusoids, or with --cnn or --corruption airplane against dog of
CIFAR-10. Several values of one flag are levels to compare: --frequency 0.25 0.5 1. One seed gives the same points, initial
weights and order at every level.

\b
Examples:
  bthcheck train --frequency 0.5 --samples 100 --epochs 3000 --batch-size 1 --learning-rate 0.001 --repeats 1
  bthcheck train --frequency 0.25 0.5 0.75 1 --repeats 10
  bthcheck train --cnn --channels 8-16 --corruption 0 0.4 --samples 200 --decay 50
  bthcheck train --frequency 0.25 0.5 0.75 1 --dask tcp://scheduler:8786
  bthcheck train --load {FOLDER}/sinusoids-frequency-0.5/{FILE}

\b
Into a folder named after the flags, or --output:
  {FILE}    an xarray Dataset, netCDF
  index.html    the numbers and the figures; opens offline
  figures/      the figures, each as SVG and PNG

Finished runs are kept in --cache-dir: the same command again trains nothing, and an interrupted one goes on where it was.
"""


class Train(click.Command):
    """A command that understands its flags as others spell them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put flags under their own names."""
        for argument in args:
            name, _ = flag_of(argument, dict.fromkeys(ELSEWHERE, "one"))
            if name and not ctx.resilient_parsing:
                raise Refused(f"{name} of the authors' command has no counterpart here: {ELSEWHERE[name]}", ctx)
        if not ctx.resilient_parsing:  # the shell's completion reads the words as they stand
            try:
                args = respelt(args, TAKES)
            except ValueError as error:
                raise Refused(str(error), ctx) from error
        return super().parse_args(ctx, args)


@click.command(cls=Train, help=HELP, short_help="Train one experiment; draw the paper's figures for it.")
@click.option("--dataset", type=click.Choice(DATASETS), help="what is learned (default: what the flags are about)")
@click.option("--cnn", is_flag=True, help="the paper's convolutional network")
@click.option("--repeats", type=int, multiple=True, metavar="N", help="seeds 0 to N - 1, as --seeds N")
@click.option("--data-root", metavar="DIR", help="folder of the full data sets, see bthcheck data")
@click.option("--engine", type=click.Choice(ENGINES), default="auto", help="how to train (default: the fastest that can)")
@click.option("--device", default="auto", metavar="|".join(re.findall(r"'(.+?)'", DEVICES)), help="where to train")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="runs side by side (default: a core each)")
@click.option("--dask", metavar="ADDRESS", help="train on a Dask cluster, or with local:N on N processes of this machine")
@click.option("--cache-dir", default=CACHE, metavar="DIR", help=f"finished runs (default: {CACHE})")
@click.option("--no-cache", is_flag=True, help="train everything anew and keep no run")
@click.option("--output", metavar="DIR", help=f"where results go (default: a folder of {FOLDER} named after the flags)")
@click.option("--overwrite", is_flag=True, help="replace the results of another experiment in --output")
@click.option("--load", metavar="FILE", help=f"draw a {FILE} again, beside it or into --output, without training")
def command(
    dataset: str | None,
    cnn: bool,
    repeats: tuple[int, ...],
    data_root: str | None,
    engine: str,
    device: str,
    threads: int | None,
    dask: str | None,
    cache_dir: str,
    no_cache: bool,
    output: str | None,
    overwrite: bool,
    load: str | None,
    **values: tuple[Any, ...],
) -> int:
    """See `HELP`."""
    warnings.showwarning = lambda message, *_, **__: click.echo(f"Warning: {message}", err=True)
    if data_root is not None:
        os.environ[ROOT_VARIABLE] = data_root
    if load is not None:
        return _draw_again(Path(load), output)
    given = {**values, "repeats": repeats}
    from bthcheck.cli.experiment import experiment_of
    from bthcheck.training import stored

    with refusing():
        experiment = experiment_of(given, cnn=cnn, dataset=dataset)
    folder = Path(output) if output is not None else Path(FOLDER, _name(given, cnn, experiment))
    if not overwrite:
        _check_folder(folder, experiment)
    if dask is not None and threads is not None:
        raise Refused("--threads are of this process, which trains nothing with --dask; say one of them")
    _check(experiment, engine, device, here=dask is None)
    progress = Progress(experiment.name, len(experiment.levels))
    cache = None if no_cache else cache_dir
    try:
        with _connected(dask) as executor:
            results = _train(experiment, engine, device, threads, cache, progress, executor)
    except KeyboardInterrupt:
        return _interrupted(progress, cache)
    finally:
        progress.close()
    _print_table(results)
    click.echo(f"{progress.read} runs from the cache, {progress.trained} trained in {progress.seconds:.1f} s of one core")
    with failing("the results are not saved"):
        stored.save(results, folder / FILE)
    click.echo(f"results: {folder / FILE}")
    _write(results, folder, FILE)
    return 0


command.params += options()


@contextlib.contextmanager
def _connected(dask: str | None) -> Iterator[Any]:
    """Yield what trains: a Dask cluster, which is let go of afterwards, or None for this process."""
    if dask is None:
        yield None
        return
    from bthcheck.training.clusters import connect

    with refusing():
        cluster = connect("--dask", dask)
    with cluster:
        yield cluster.client


def _train(
    experiment: "Experiment",
    engine: str,
    device: str,
    threads: int | None,
    cache: str | None,
    progress: Progress,
    executor: Any,
) -> "xr.Dataset":
    from bthcheck.training.dispatch import Failed as Ended
    from bthcheck.training.engines import run

    with failing():
        try:
            return run(
                experiment, engine=engine, device=device, cache=cache, progress=progress, threads=threads, executor=executor
            )
        except Ended as error:
            raise Failed(str(error)) from error


def _check(experiment: "Experiment", engine: str, device: str, here: bool) -> None:
    """Refuse, before anything is trained, what cannot be."""
    from bthcheck.cli.experiment import in_flags
    from bthcheck.training.engines import resolve
    from bthcheck.training.runs import Run
    from bthcheck.training.stored import LARGEST_SEED

    if max(experiment.seeds) > LARGEST_SEED:
        raise Refused(f"--seeds must be at most {LARGEST_SEED}, got {max(experiment.seeds)}")
    runs = [Run(experiment, level, experiment.seeds[0]) for level in experiment.levels]
    with refusing():
        try:
            resolve(runs, engine, device, here)
        except ValueError as error:
            raise ValueError(in_flags(str(error))) from error
    with failing():
        runs[0].data()


def _check_folder(folder: Path, experiment: "Experiment") -> None:
    """Refuse to replace what is not this experiment's."""
    from bthcheck.training.stored import load

    try:
        held = load(folder / FILE)
    except FileNotFoundError:
        if not (folder / "index.html").exists():
            return
        what = "a page of something else"
    except NotADirectoryError:
        raise Refused(f"--output must be a folder, got {folder}, which is none") from None
    except (OSError, ValueError):
        what = f"a {FILE} that is no result of bthcheck train"
    else:
        if held.attrs["experiment"] == experiment.to_json():
            return
        what = "results of another experiment"
    raise Refused(f"{folder} holds {what}: name another folder with --output, or replace them with --overwrite")


def _name(values: dict[str, tuple[Any, ...]], cnn: bool, experiment: "Experiment") -> str:
    """Return the name of a folder that says which flags were given."""
    keys = [*(flag.key for flag in FLAGS), "repeats"]
    parts = [f"{key}-{'-'.join(map(str, values[key]))}" for key in keys if values.get(key)]
    name = "-".join([experiment.name.replace(" ", "-"), *(["cnn"] * cnn), *parts])
    name = re.sub(r"[^\w.+-]", "_", re.sub(r"\.0\b", "", name)).replace("_", "-").rstrip("-.")
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}-{hashlib.sha256(experiment.to_json().encode()).hexdigest()[:8]}"
    return name


def _interrupted(progress: Progress, cache: str | None) -> int:
    progress.close()
    kept = f"in {cache}: the same command goes on from there" if cache else "lost, because --no-cache keeps none"
    click.echo(f"interrupted: {progress.finished} of {progress.total} runs are finished, and {kept}", err=True)
    return INTERRUPTED


def _draw_again(file: Path, output: str | None) -> int:
    from bthcheck.training.stored import load

    context = click.get_current_context()
    harmless = ("load", "output", "overwrite", "help")
    others = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in harmless
        and context.get_parameter_source(str(parameter.name)) is click.core.ParameterSource.COMMANDLINE
    ]
    if others:
        raise Refused(f"--load draws what is in {file} as it was trained, so that {' and '.join(others)} can change nothing")
    with failing():
        results = load(file)
    _print_table(results)
    if output is not None and Path(output).resolve() != file.parent.resolve():
        from bthcheck.files import write_whole

        with failing("the results are not copied"):
            Path(output).mkdir(parents=True, exist_ok=True)
            write_whole(Path(output, FILE), file.read_bytes())
    _write(results, file.parent if output is None else Path(output), FILE if output is not None else file.name)
    return 0


def _print_table(results: "xr.Dataset") -> None:
    from bthcheck.report.training import aligned, summary

    for line in aligned(*summary(results)):
        click.echo(line)
    diverged = int(results.diverged.sum())
    if diverged:
        click.echo(f"{diverged} of {results.diverged.size} runs diverged: their statistics are infinite from there on")


def _write(results: "xr.Dataset", folder: Path, file: str) -> None:
    """Write the figures and the page, and say where."""
    from bthcheck.report.training import write

    try:
        page = write(folder, results, file)
    except OSError as error:
        raise Failed(f"figures and page are not complete: {error.filename} cannot be written: {error.strerror}") from error
    click.echo(f"page: {page}")
