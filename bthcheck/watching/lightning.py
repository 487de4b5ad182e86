"""`Watch` as a callback of Lightning, by either name: ``Trainer(callbacks=[Watch(probe=x)])``.

It attaches and detaches `bthcheck.watch`, whose hooks measure, and marks epochs, which begin with 1, and losses.
"""

import math
import sys
from typing import Any

import torch
from torch import Tensor, nn

from bthcheck.watching import layers
from bthcheck.watching.callbacks import Attached, needed
from bthcheck.watching.observed import Pass
from bthcheck.watching.redirected import InnerCalls

_NAMES = ("lightning.pytorch", "pytorch_lightning")


def _base() -> Any:
    """Return a class that is a Callback of whichever Lightning was imported; the two know nothing of each other."""
    loaded = [sys.modules[name] for name in _NAMES if sys.modules.get(name) is not None]
    return type("Callback", tuple(one.Callback for one in loaded or [needed("lightning", *_NAMES)]), {})


_Callback: Any = _base()


class Watch(Attached, _Callback):
    """Watches the training of a LightningModule; ``dataset()``, ``reading()`` and ``plot()`` are there during it and after it.

    ``train_loss`` is the mean of the losses of a step's batches. In manual optimization it is what was given to
    ``manual_backward``, and NaN where a step has several of them, because the loop alone knows by what it divided each.

    Parameters
    ----------
    model : the name of the module inside the LightningModule that is the network, such as "net" where ``training_step`` calls
        ``self.net(x)``. Without a name it is the LightningModule itself, which ``training_step`` calls by ``self(x)``, or, if
        it has no ``forward``, the one module in it that has layers
    optimizer : which optimizer, from 0, if there are several
    options : those of `bthcheck.watch`: layer, output, probe, every, probe_every, points, limit, log

    Raises
    ------
    TypeError
        If an option is none of these. Once a training begins, what `bthcheck.watch` raises, and before the first step a
        ``ValueError`` if the network or the optimizer has to be chosen, or ``training_step`` never calls the network.
    """

    def __init__(self, *, model: str | None = None, optimizer: int | None = None, **options: Any) -> None:
        super().__init__(options)
        if model is not None and not isinstance(model, str):
            raise TypeError(f"model must be the name of a module inside the LightningModule, got a {type(model).__name__}")
        if optimizer is not None and (isinstance(optimizer, bool) or not isinstance(optimizer, int) or optimizer < 0):
            raise TypeError(f"optimizer must be the number of an optimizer, from 0, got {optimizer!r}")
        self._name, self._number = model, optimizer
        self._inner: InnerCalls | None = None
        self._loss: Tensor | float = math.nan
        self._before: Pass | None = None
        self._marked = -1

    def detach(self) -> None:
        """Remove every hook and keep what was recorded; once is enough."""
        super().detach()
        if self._inner is not None:
            self._inner.close()
            self._inner = None

    # What Lightning calls

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Attach the watch: the optimizers are there, and a checkpoint has been restored."""
        optimizer = self._chosen(trainer.optimizers)
        name = self._network(pl_module)
        wrapper = trainer.model
        layers.unwrapped(wrapper)  # refuses what shards it
        process = None if wrapper is pl_module else (trainer.global_rank, trainer.world_size)
        self._marked = -1
        if name or process is None:
            self.attach(pl_module.get_submodule(name), optimizer, process)
            return
        inner = InnerCalls(wrapper, pl_module, self._options["output"])
        try:
            self.attach(pl_module, optimizer, process, output=inner)
        except BaseException:
            inner.close()
            raise
        self._inner = inner

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Mark the epoch."""
        del pl_module
        self.watch.mark(epoch=trainer.current_epoch + 1)

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Tensor) -> None:
        """Remember the loss as it was before Lightning divided it by the number of batches of a step, or scaled it."""
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        loss = loss.detach()
        if scaler is not None:
            loss = loss / scaler.scale(torch.ones_like(loss))
        self._loss = loss * trainer.accumulate_grad_batches if pl_module.automatic_optimization else loss
        self._before = self._recorder.newest

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        """Mark the loss, if it was one of the watched network and not of another."""
        del trainer
        recorder = self._recorder
        if recorder.newest is self._before:
            return
        several = not pl_module.automatic_optimization and self._marked == recorder.count
        self._marked = recorder.count
        self.watch.mark(loss=math.nan if several else self._loss)

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Refuse before the first step to go on with a network that nobody calls."""
        del trainer
        recorder = self._recorder
        if recorder.count or recorder.seen.f_shape is not None or layers.inner_optimizer(optimizer) is not recorder.optimizer:
            return
        if any(parameter.grad is not None for parameter in recorder.model.parameters()):
            name = next(name for name, module in pl_module.named_modules() if module is recorder.model)
            raise ValueError(
                f"training_step of {type(pl_module).__name__} did not call {f'self.{name}' if name else 'self'}(…), or without"
                f" gradients, so that nothing is seen; say with model= which module it calls{_such_as(pl_module, name)}"
            )

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Look away, even if a validation should take gradients."""
        del trainer, pl_module
        if self._watch is not None:
            self._recorder.paused = True

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Look again."""
        del trainer, pl_module
        if self._watch is not None:
            self._recorder.paused = False

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Detach the watch."""
        del trainer, pl_module
        self.detach()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Detach the watch without another probe; what was recorded stays."""
        del trainer, pl_module
        if self._watch is not None:
            self._watch.__exit__(type(exception), exception, None)
        self.detach()

    # What is watched

    @property
    def _recorder(self) -> Any:
        return self.watch._recorder

    def _chosen(self, optimizers: list[Any]) -> Any:
        count = len(optimizers)
        if self._number is None and count == 1:
            return optimizers[0]
        if self._number is None or self._number >= count:
            got = "" if self._number is None else f", got optimizer={self._number}"
            raise ValueError(
                f"configure_optimizers returned {count} optimizers; say which one trains the network with optimizer=, a number"
                f" from 0 to {count - 1}{got}"
                if count
                else "configure_optimizers returned no optimizer, so that there is nothing to watch"
            )
        return optimizers[self._number]

    def _network(self, module: Any) -> str:
        """Return the name of the network inside the LightningModule, "" for that itself."""
        if self._name is not None:
            if self._name not in dict(module.named_modules()):
                raise ValueError(
                    f"model must name a module inside {type(module).__name__}{_such_as(module)}, got {self._name!r}"
                )
            return self._name
        base: Any = next(kind for kind in type(module).__mro__ if kind.__name__ == "LightningModule")
        if type(module).forward is not base.forward:
            return ""
        names = _with_layers(module)
        if len(names) != 1:
            raise ValueError(
                f"{type(module).__name__} has no forward and {len(names)} modules with layers; say with model= which of them is"
                f" the network{_such_as(module)}"
            )
        return names[0]


def _with_layers(module: nn.Module) -> list[str]:
    return [name for name, child in module.named_children() if layers.candidates(child)]


def _such_as(module: nn.Module, but: str = "") -> str:
    names = [name for name in _with_layers(module) if name != but]
    return f", such as {', '.join(map(repr, names[:8]))}" if names else ""
