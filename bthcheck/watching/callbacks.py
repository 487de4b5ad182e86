"""What the callbacks of training libraries have in common: they attach a `Watch`, mark epochs and losses, and detach it."""

import importlib
import inspect
from types import ModuleType
from typing import Any, Self

import xarray as xr
from matplotlib.figure import Figure
from torch import nn

from bthcheck.watching.reading import Reading
from bthcheck.watching.watch import Watch, watch

OPTIONS = {
    name: parameter.default
    for name, parameter in inspect.signature(watch).parameters.items()
    if parameter.default is not parameter.empty
}
"""Every option of `bthcheck.watch` with its default."""


def needed(extra: str, *names: str) -> ModuleType:
    """Import the first of the modules `names` that is there.

    Raises
    ------
    ImportError
        If none is; it says which extra of this package brings it.
    """
    failed: list[ImportError] = []
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError as error:
            failed.append(error)
    raise ImportError(
        f"{extra} is needed for this and cannot be imported ({failed[0]}); pip install 'bthcheck[{extra}]'"
    ) from failed[0]


class Attached:
    """The watch that a callback attaches when a training begins, with what can be asked of it afterwards.

    In a ``with`` block hooks are removed however the training in it ends.

    Parameters
    ----------
    options : those of `bthcheck.watch`, by the same names and with the same defaults

    Raises
    ------
    TypeError
        If one is none of these.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__()
        unknown = [name for name in options if name not in OPTIONS]
        if unknown:
            raise TypeError(f"{unknown[0]!r} is no option of a watch; there are {', '.join(map(repr, OPTIONS))}")
        self._options = OPTIONS | options
        self._watch: Watch | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self.detach()

    @property
    def watch(self) -> Watch:
        """The watch of the last training; its ``mark`` is there for losses of a loop of one's own.

        Raises
        ------
        ValueError
            If no training has begun.
        """
        if self._watch is None:
            raise ValueError("nothing was watched yet: no training has begun with this callback")
        return self._watch

    def attach(self, model: nn.Module, optimizer: Any, process: tuple[int, int] | None = None, **instead: Any) -> None:
        """Begin to watch; what watched before is detached.

        Parameters
        ----------
        process : rank and number of the processes that train the model together
        instead : options other than those given
        """
        self.detach()
        self._watch = None
        self._watch = Watch(model, optimizer, process=process, **(self._options | instead))

    def detach(self) -> None:
        """Remove every hook and keep what was recorded; once is enough."""
        if self._watch is not None:
            self._watch.detach()

    def dataset(self) -> xr.Dataset:
        """Return the records of the last training, see `Watch.dataset`."""
        return self.watch.dataset()

    def reading(self) -> Reading:
        """Say what may be concluded from them, see `Watch.reading`."""
        return self.watch.reading()

    def plot(self, live: bool = False) -> Figure:
        """Draw them, see `Watch.plot`."""
        return self.watch.plot(live)
