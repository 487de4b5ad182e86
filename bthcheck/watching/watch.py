"""`bthcheck.watch`: the statistics of this package for any PyTorch training loop, which does not notice."""

import contextlib
import math
import time
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from torch import Tensor, nn

from bthcheck.checks import positive_int
from bthcheck.figures.watched import watched as draw
from bthcheck.watching import labelled, layers, samples
from bthcheck.watching.hooks import Recorder
from bthcheck.watching.layers import Pick
from bthcheck.watching.marks import epoch_of, index_of, loss_of
from bthcheck.watching.modules import Hook
from bthcheck.watching.notebooks import notebook_display
from bthcheck.watching.observed import Step
from bthcheck.watching.probing import Probe
from bthcheck.watching.reading import Reading, reading
from bthcheck.watching.records import EpochPath, Records, reduced
from bthcheck.watching.situation import Given, situation

Log = Callable[[dict[str, float], int], Any]
LIMIT = 1_000_000
"""Records that are kept, of about 120 bytes each, before every second is dropped."""
_BLOCK_BYTES = 8e6
_BLOCK_SECONDS = 10.0
_BLOCK_STEPS = (16, 256)
_SILENT = 3


class Watch:
    """A training that is watched; see `watch`, which makes one. Leaving its ``with`` block removes every hook."""

    def __init__(
        self, model: nn.Module, optimizer: Any, *, layer: str | None, output: Pick | None, probe: Any,
        every: int, probe_every: int | str, points: int, limit: int, log: Log | None,
        process: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        inner = layers.unwrapped(model)
        trained = layers.inner_optimizer(optimizer)
        every, limit = positive_int("every", every), positive_int("limit", limit)
        self._by_mark = probe_every == "epoch"
        self._probe_every = 0 if self._by_mark else _probe_every(probe_every)
        if output is not None and not callable(output):
            raise ValueError(f"output must be a function of what the model returns, such as lambda r: r[0], got {output!r}")
        if log is not None and not callable(log):
            raise ValueError(f"log must be a function of a dict and a step, got {log!r}")
        if any(isinstance(hook, Hook) for hook in inner._forward_hooks.values()):
            raise ValueError(
                "this model is already being watched; leave that block, call detach() on what watches it, or"
                " bthcheck.watching.unwatch(model)"
            )
        own = {id(parameter) for parameter in inner.parameters()}
        if not any(id(one) in own for group in trained.param_groups for one in group["params"]):
            raise ValueError("the optimizer trains no parameter of this model; watch the model that it trains")
        if layer is None and layers.first_layer(layers.candidates(inner), biased=False) is None:
            raise ValueError("the model has no layer with weights, so that there is nothing to watch")
        chosen = None if layer is None else layers.named_layer(inner, layer)
        self._probe = None if probe is None else Probe(probe)
        self._points = 0 if self._probe is None else min(positive_int("points", points), self._probe.size)
        self._pick, self._log = output, log
        self._records = Records(limit, every)
        self._path, self._given, self._samples = EpochPath(), Given(), samples.Samples()
        self._attrs = {"model": type(inner).__name__, "optimizer": type(trained).__name__}
        self._rank, self._world = process or layers.process_of(model)
        self._around: bool | None = None
        self._warned = False
        self._live: Any = None
        self._fetched = time.monotonic()
        self._block = _BLOCK_STEPS[0]  # after which it is known how large a record is
        self._started: dict[str, float] = {}
        self._probed: dict[int, np.ndarray] = {}
        self._recorder = Recorder(inner, trained, chosen, output, self._wanted, self._stepped, self)
        self.attached = True
        if self._probe is not None:
            with self._detached_on_error():
                self._first_probe(inner)

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._finish(probe=kind is None)

    def detach(self) -> None:
        """Remove every hook and keep what was recorded; once is enough."""
        self._finish(probe=True)

    def mark(self, epoch: float | None = None, loss: Tensor | float | None = None, index: Any = None) -> None:
        """Say in which epoch the following steps are, what the loss of a step is, or which samples the next pass is of.

        Parameters
        ----------
        epoch : a number; those of `bthcheck.run` begin with 1
        loss : of the step under way, or of the one just done; a tensor is not waited for. Several of one step are averaged
        index : (m,) whole numbers, the samples of the next backward pass in the order of f; what each of them does is then
            recorded, see `visits`

        Raises
        ------
        ValueError
            If it is not a number, the loss is a tensor of several, or the index has no whole numbers.
        """
        if index is not None:
            self._recorder.index = index_of(index)
        if loss is not None:
            self._recorder.add_loss(loss_of(loss))
        if epoch is not None:
            epoch = epoch_of(epoch)
            if self._by_mark and self._recorder.count and epoch != self._recorder.epoch:
                self._probe_now(self._recorder.count)
            self._recorder.epoch = epoch
            self._recorder.arm()

    def dataset(self) -> xr.Dataset:
        """Return all that was recorded so far, dimensions "step" and, with a probe, "probe".

        Variables and units are those of `bthcheck.watching.records.QUANTITIES`; where one is a statistic of `bthcheck.run`, it
        has its name. `bthcheck.watching.by_epoch` makes it a table of epochs.
        """
        self._fetch()
        table = self._records.table()
        seen = self._recorder.seen
        attrs: dict[str, Any] = {
            **self._attrs,
            "layer": "" if self._recorder.layer is None else self._recorder.names[self._recorder.layer],
            "every": self._records.every,
            "steps": self._recorder.count,
            "discarded": seen.discarded,
            "rank": self._rank,
            "processes": self._world,
            **self._started,
        }
        if self._recorder.layer is not None:
            attrs["reading"] = str(self.reading())
        return labelled.labelled(table, attrs, self._points)

    def visits(self) -> xr.Dataset:
        """Return φ and ε of every visit of every sample so far that `mark` had an `index` for, dimension "visit".

        ``w.visits().groupby("index").sum()`` has Σφ of every sample, by which mislabelled ones stand out once they are being
        fit; see `bthcheck.theory.mislabelled` and `bthcheck.visits`. Quantities are those of
        `bthcheck.watching.samples.QUANTITIES`.
        """
        self._fetch()
        return self._samples.dataset()

    def reading(self) -> Reading:
        """Say in plain sentences what may be concluded for this network and loop, what may not, and why.

        Raises
        ------
        ValueError
            If nothing has run through the model yet.
        """
        self._fetch()
        facts = situation(
            self._recorder, self._given, around=self._around, processes=self._world,
            probed=0 if self._probe is None else self._probe.size,
        )  # fmt: skip
        return reading(facts)

    def plot(self, live: bool = False) -> Figure:
        """Draw what was recorded so far.

        Parameters
        ----------
        live : whether to show the figure in a notebook now and draw it again as records come in

        Raises
        ------
        ValueError
            If `live` is asked for outside of a notebook.
        """
        figure = draw(self.dataset())
        if live:
            self._live = notebook_display()
            self._live.display(figure)
        return figure

    # What the recorder asks and tells

    def _wanted(self, step: int) -> bool:
        return self._records.wants(step) or bool(self._probe and self._probe_every and step % self._probe_every == 0)

    def _stepped(self, step: int) -> None:
        if self._probe is not None and self._probe_every and step % self._probe_every == 0:
            self._probe_now(step)
        if step == _SILENT:
            self._warn_if_silent()
        steps = self._recorder.steps
        if len(steps) >= self._block or (steps and time.monotonic() - self._fetched > _BLOCK_SECONDS):
            self._block = _block(steps[-1])
            self._fetch(but=1)  # whose loss may be marked after it

    def _fetch(self, but: int = 0) -> None:
        """Take what the hooks kept from the device, the last `but` steps excepted, and make records of it."""
        self._fetched = time.monotonic()
        steps = self._recorder.take(but)
        if not steps:
            return
        self._samples.add(steps)
        block, discarded = reduced(steps, self._recorder.initial, self._path, vectors=True)
        self._recorder.seen.discarded += discarded
        if not block:
            return
        self._given.add(block.pop("bias_gradient"), block)
        if self._world == 1:
            block.pop("gradient_sum", None)
            block.pop("slope_sum", None)
        self._put_probes(block)
        self._records.add(block)
        self._recorder.arm()
        self._tell(block)
        if self._live is not None:
            self._live.update(draw(labelled.labelled(self._records.table(), {}, self._points)))

    def _put_probes(self, block: dict[str, np.ndarray]) -> None:
        if self._probe is None:
            return
        count = len(block["step"])
        block["lipschitz_mean"], block["lipschitz_max"] = np.full(count, math.nan), np.full(count, math.nan)
        block["lipschitz"] = np.full((count, self._points), math.nan)
        for row in np.flatnonzero(np.isin(block["step"], list(self._probed))):
            found = self._probed.pop(int(block["step"][row]))
            block["lipschitz_mean"][row], block["lipschitz_max"][row] = found.mean(), found.max()
            block["lipschitz"][row] = found[: self._points]

    def _tell(self, block: dict[str, np.ndarray]) -> None:
        if self._log is None:
            return
        names = [name for name, values in block.items() if values.ndim == 1 and name != "step"]
        flush = getattr(self._log, "flush", None)
        try:
            for row, step in enumerate(block["step"].tolist()):
                values = {name: float(block[name][row]) for name in names}
                self._log({name: value for name, value in values.items() if not math.isnan(value)}, step)
            if callable(flush):
                flush()
        except Exception as error:
            self._log = None
            warnings.warn(f"bthcheck.watch: log failed, and is not called again: {type(error).__name__}: {error}", stacklevel=2)

    # Probes

    @contextlib.contextmanager
    def _detached_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._recorder.close()
            self.attached = False
            raise

    def _constants(self) -> np.ndarray:
        assert self._probe is not None
        self._recorder.paused = True
        try:
            return self._probe.constants(self._recorder.model, self._pick).double().cpu().numpy()
        finally:
            self._recorder.paused = False

    def _first_probe(self, model: nn.Module) -> None:
        """Probe before training, which also finds the layer, and whether there is a way around it."""
        assert self._probe is not None
        try:
            constants = self._constants()
            self._recorder.paused = True
            if self._recorder.layer is not None:
                self._around = self._probe.goes_around(model, self._recorder.layer, self._pick)
        except ValueError:
            raise
        except Exception as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else ""
            raise ValueError(f"the model cannot be evaluated at the probe: {type(error).__name__}: {first}") from error
        finally:
            self._recorder.paused = False
        self._started = {
            "lipschitz_mean_at_start": float(constants.mean()), "lipschitz_max_at_start": float(constants.max()),
        }  # fmt: skip

    def _probe_now(self, step: int) -> None:
        if self._probe is None or not step:
            return
        if any(one.number == step for one in self._recorder.steps):
            if step not in self._probed:
                self._probed[step] = self._constants()
        elif (block := self._records.ending_with(step)) and math.isnan(block["lipschitz_mean"][-1]):  # already fetched
            found = self._constants()
            block["lipschitz_mean"][-1], block["lipschitz_max"][-1] = found.mean(), found.max()
            block["lipschitz"][-1] = found[: self._points]

    def _finish(self, probe: bool) -> None:
        if not self.attached:
            return
        try:
            if probe:
                self._probe_now(self._recorder.count)
            self._fetch()
        finally:
            self._recorder.close()
            self.attached = False
        if self._recorder.count < _SILENT:
            self._warn_if_silent()

    def _warn_if_silent(self) -> None:
        seen = self._recorder.seen
        if self._warned or seen.samples or any(one.passes for one in self._recorder.steps) or not self._recorder.count:
            return
        self._warned = True
        layer = "" if self._recorder.layer is None else f" {self._recorder.names[self._recorder.layer]!r}"
        if not seen.called:
            why = (
                "the model's hooks do not run; watch a compiled model before its first call, and call the model itself, not its"
                " forward()"
            )
        elif self._recorder.by_bias and (self._recorder.bias is None or not self._recorder.bias.requires_grad):
            why = f"of a compiled model φ is read from the gradient of a bias; the layer{layer} has none that is trained"
        elif seen.f_shape is None:
            why = "f never had a gradient; is the model run under no_grad?"
        elif seen.z_shape is None:
            why = f"the layer{layer} does not run in the forward pass of the model; name another with layer="
        else:
            why = (
                f"no gradient of the loss reached f and the layer{layer}; is f, as output= picks it, what the loss is made of?"
            )
        warnings.warn(f"bthcheck.watch: no gradient was seen in {self._recorder.count} steps: {why}", stacklevel=2)


def watch(
    model: nn.Module,
    optimizer: Any,
    layer: str | None = None,
    output: Pick | None = None,
    probe: Any = None,
    every: int = 1,
    probe_every: int | str = 100,
    *,
    points: int = 8,
    limit: int = LIMIT,
    log: Log | None = None,
) -> Watch:
    """Watch a PyTorch training: φ, ‖g‖, the path of the first bias, and local Lipschitz constants.

    Use it as ``with bthcheck.watch(model, optimizer) as w:`` around any loop. There is one record a step of the optimizer,
    however many backward passes went into it. Training is not changed by a bit; docs/how-to/watching.md says what that was
    tested with. Notation as in `bthcheck.training.statistics`; φ of several samples: docs/explanation/minibatches.md.

    Parameters
    ----------
    model : any module, or what DistributedDataParallel or ``torch.compile`` made of it, there before its first call
    optimizer : any of torch.optim or derived from it, or what accelerate or Lightning wrap it in
    layer : the name of the layer whose output is z, such as "stem.conv"; else the first that runs and has a bias
    output : picks f, (m, …), out of what the model returns; needed unless that is a tensor or has ``logits``
    probe : points at which local Lipschitz constants are computed: a tensor (m, …), or a tuple or mapping that the model takes
    every : a record every so many steps
    probe_every : a probe after every so many steps, or "epoch" for one at every mark of a new one; also before the first step
        and after the last
    points : how many points of the probe, its first, have their constants recorded one by one
    limit : how many records are kept before every second is dropped, which is said
    log : called with (quantity → value, step) for every record when it is fetched, which is every few seconds; if it has a
        method ``flush``, that is called after every such block. `bthcheck.watching.logs` has ready-made ones

    Raises
    ------
    ValueError, TypeError
        If something of this cannot be watched, in a sentence, before anything is trained.
    """
    return Watch(
        model, optimizer, layer=layer, output=output, probe=probe, every=every, probe_every=probe_every,
        points=points, limit=limit, log=log,
    )  # fmt: skip


def unwatch(model: nn.Module) -> None:
    """Detach whatever watches the model, as where a notebook's cell was run again and nothing refers to it any more."""
    inner = layers.unwrapped(model)
    for hook in list(inner._forward_hooks.values()):
        if isinstance(hook, Hook):
            hook.recorder.owner.detach()


def _block(step: Step) -> int:
    """Return how many steps like this are kept on the device before they are fetched."""
    numbers = sum(2 * len(one.slopes) for one in step.passes) + 3 * (0 if step.after is None else step.after.numel())
    return int(min(max(_BLOCK_BYTES / (8 * max(numbers, 1)), _BLOCK_STEPS[0]), _BLOCK_STEPS[1]))


def _probe_every(value: Any) -> int:
    if isinstance(value, str):
        raise ValueError(f"probe_every must be a whole number of steps or 'epoch', got {value!r}")
    return positive_int("probe_every", value)
