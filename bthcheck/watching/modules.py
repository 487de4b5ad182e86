"""Hooks on somebody's modules, which must not be in their copies, their pickles or what is compiled of them."""

import contextlib
from collections.abc import Callable
from typing import Any

import torch


class Hook:
    """A hook on a module. A pickle or a copy of the module holds one in its place that does nothing, and needs no bthcheck."""

    def __init__(self, function: Callable[..., Any], recorder: Any) -> None:
        self.function = function
        self.recorder = recorder

    def __call__(self, *args: Any) -> Any:
        """Do it, behind what is compiled."""
        if torch.compiler.is_compiling():
            return self._apart(*args)
        return self.function(*args)

    @torch.compiler.disable
    def _apart(self, *args: Any) -> Any:
        self.recorder.compiled = True
        return self.function(*args)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (contextlib.nullcontext(), "__exit__")

    def __deepcopy__(self, memo: Any) -> Any:
        return contextlib.nullcontext().__exit__


class InnerHook(Hook):
    """A hook within a model, which does nothing where that is compiled: it would break it into parts that round differently."""

    def __call__(self, *args: Any) -> Any:
        """Do it, but not within what is compiled."""
        return None if torch.compiler.is_compiling() else self.function(*args)
