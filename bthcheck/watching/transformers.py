"""`Watch` as a callback of Hugging Face's Trainer: ``Trainer(…, callbacks=[Watch(probe=inputs)])``.

It attaches and detaches `bthcheck.watch`, whose hooks measure, and marks epochs, which begin with 1, and losses.
"""

import math
from typing import Any

from bthcheck.watching.callbacks import Attached, needed

_Callback: Any = needed("transformers", "transformers").TrainerCallback


class Watch(Attached, _Callback):
    """Watches the training of a Trainer; ``dataset()``, ``reading()`` and ``plot()`` are there during it and after it.

    f is the model's ``logits``. ``train_loss`` is that of the step where the Trainer logs every one, ``logging_steps=1``; else
    it is NaN, because what callbacks are told is a mean over several steps.

    The Trainer tells no callback of an exception that ends a training: hooks then stay until ``detach()``, the end of a
    ``with`` block around it, or the next training.

    Parameters
    ----------
    options : those of `bthcheck.watch`: layer, output, probe, every, probe_every, points, limit, log

    Raises
    ------
    TypeError
        If an option is none of these. Once a training begins, what `bthcheck.watch` raises, and a ``TypeError`` if the Trainer
        shards or copies the model.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(options)
        self._epoch: int | None = None
        self._logged = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Attach the watch: the optimizer is there, and a checkpoint has been restored."""
        del control
        if args.deepspeed or args.fsdp:
            raise TypeError("a model that DeepSpeed or FSDP trains cannot be watched: gradients are spread over ranks")
        together = args.parallel_mode.value == "distributed"
        if args.n_gpu > 1 and not together:
            raise TypeError(
                "the Trainer runs copies of the model on several GPUs, which cannot be watched: start it by torchrun, or let it"
                " see one"
            )
        self._epoch, self._logged = None, state.global_step
        process = (args.process_index, args.world_size) if together else None
        self.attach(kwargs["model"], kwargs["optimizer"], process)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Mark the epoch."""
        del args, control, kwargs
        self._epoch = int(state.epoch or 0) + 1 if self._epoch is None else self._epoch + 1
        self.watch.mark(epoch=self._epoch)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Mark the loss, if it is that of the last step alone, and no substitute for one that is not finite."""
        del control, kwargs
        loss = (logs or {}).get("loss")
        if loss is None or self._watch is None or not self._watch.attached:
            return
        alone, self._logged = state.global_step == self._logged + 1, state.global_step
        finite = math.isfinite((logs or {}).get("grad_norm", 0.0)) and loss != 0
        if alone and (finite or not args.logging_nan_inf_filter):
            self._watch.mark(loss=float(loss))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Detach the watch."""
        del args, state, control, kwargs
        self.detach()
