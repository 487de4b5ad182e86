"""What may be concluded from a watched training, in plain sentences, and what may not."""

from collections.abc import Iterator
from dataclasses import dataclass

from bthcheck.watching.situation import Situation

THEORY, ONE_SIDED, DESCRIPTIVE, NOTHING = "theory", "one-sided", "descriptive", "nothing"
SCOPES = (THEORY, ONE_SIDED, DESCRIPTIVE, NOTHING)
"""How far a conclusion goes, from the furthest: a theorem of the paper, a bound on one side, this training alone, none."""
QUANTITIES = ("phi", "gradient_norm", "bias", "lipschitz")


@dataclass(frozen=True)
class Statement:
    """What may be concluded from one quantity.

    quantity : "phi"; "gradient_norm" for its mean and maximum; "bias" for update, bias_variance and distance_to_init;
        "lipschitz" for what was probed
    scope : one of `SCOPES`
    reasons : sentences, why no more
    """

    quantity: str
    scope: str
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.quantity} ({self.scope}): {' '.join(self.reasons)}"


@dataclass(frozen=True)
class Reading:
    """All statements about a training, and what else was noticed."""

    statements: tuple[Statement, ...]
    notes: tuple[str, ...]

    def of(self, quantity: str) -> Statement:
        """Return what may be concluded from one of `QUANTITIES`."""
        return next(one for one in self.statements if one.quantity == quantity)

    def __str__(self) -> str:
        return "\n".join([*map(str, self.statements), *self.notes])

    def _repr_markdown_(self) -> str:
        lines = [f"- **{one.quantity}** ({one.scope}): {' '.join(one.reasons)}" for one in self.statements]
        return "\n".join([*lines, *(f"- {note}" for note in self.notes)])


def reading(facts: Situation) -> Reading:
    """Conclude from the facts."""
    statements = [
        _statement("phi", [*_gradient(facts), *_sum(facts)], _lemma(facts, "φ")),
        _statement("gradient_norm", [*_gradient(facts), *_samples(facts)], _lemma(facts, "‖g(x)‖ of every sample")),
        _statement("bias", list(_movement(facts)), "Plain SGD at batch size 1: Corollaries 2 and 3 speak of this path."),
        _lipschitz(facts),
    ]
    return Reading(tuple(statements), tuple(_notes(facts)))


_Reason = tuple[str, str]


def _statement(quantity: str, reasons: list[_Reason], otherwise: str) -> Statement:
    """The narrowest scope that a reason allows, with all reasons."""
    if not reasons:
        return Statement(quantity, THEORY, (otherwise,))
    scope = max((scope for scope, _ in reasons), key=SCOPES.index)
    shown = [text for one, text in reasons if scope != NOTHING or one == NOTHING]
    return Statement(quantity, scope, tuple(dict.fromkeys(shown)))


def _lemma(facts: Situation, what: str) -> str:
    if facts.kind == "identity":
        return f"λ(x) = {what}: W_1 = I (Lemma 1)."
    if facts.inputs is not None and facts.neurons is not None and facts.neurons > facts.inputs:
        return (
            f"λ(x) ≤ σ_1 · {what} (Lemma 1); from below it bounds nothing, because the layer is wider than its input"
            f" ({facts.neurons} > {facts.inputs})."
        )
    return f"σ_min · {what} ≤ λ(x) ≤ σ_1 · the same (Lemma 1), with the singular values of W_1."


def _gradient(facts: Situation) -> Iterator[_Reason]:
    """Why ∂L/∂z over ∂L/∂f does not bound λ."""
    if not facts.samples:
        yield NOTHING, "No backward pass of the model was seen."
        return
    if "batch normalisation" in facts.behind:
        yield (
            DESCRIPTIVE,
            (
                "BatchNorm behind the first layer makes f of one sample depend on all of its batch, so that the"
                " quotients are no"
                " gradients of f at a point."
            ),
        )
    if facts.kind in ("batch normalisation", "normalisation"):
        yield (
            DESCRIPTIVE,
            (
                f"The first bias is that of a {facts.kind}, {facts.layer!r}: its output is not W_1 x + b_1 with one"
                " W_1 for all x,"
                " which Lemma 1 asks for."
            ),
        )
    elif facts.kind == "embedding":
        yield DESCRIPTIVE, "The first layer is an embedding: its inputs are tokens, between which there is no slope."
    elif "batch normalisation" in facts.before:
        yield (
            DESCRIPTIVE,
            (
                "BatchNorm before the first layer changes every input with its batch: gradients are those at the"
                " normalised input."
            ),
        )
    elif "embedding" in facts.before:
        yield DESCRIPTIVE, "The first layer with a bias comes behind an embedding: gradients are those at its own input."
    elif "normalisation" in facts.before:
        yield DESCRIPTIVE, "A normalisation comes before the first layer: gradients are those at the normalised input."
    elif facts.direct is False:
        yield (
            DESCRIPTIVE,
            (f"The layer {facts.layer!r} is not given the model's input itself: gradients are those at its own input."),
        )
    if facts.last:
        yield (
            DESCRIPTIVE,
            f"The first layer with a bias, {facts.layer!r}, is the last: its output is f itself.",
        )
    if facts.around:
        yield DESCRIPTIVE, "f depends on the input by a way around the layer, of which its gradient knows nothing."
    if facts.calls > 1:
        yield DESCRIPTIVE, f"The layer is called {facts.calls} times a pass, and the gradients of all calls count together."
    whole = "the norm of what it does to the whole input"
    if facts.outputs is not None and facts.outputs > 1:
        text = (
            f"f has {facts.outputs} outputs: the quotient is ‖J^T u‖, which is at most ‖J‖, with J the Jacobian of f with"
            " respect to z and u the direction of the loss"
        )
        if facts.kind == "identity" or (facts.inputs or 0) >= (facts.neurons or 1):
            yield ONE_SIDED, f"{text}; σ_min times it is at most λ, and from above it bounds nothing."
        else:
            yield DESCRIPTIVE, f"{text}; with a first layer that is {_shape(facts)} it bounds λ on neither side."
    elif facts.kind == "convolution":
        yield ONE_SIDED, f"λ(x) ≤ σ_1 ‖g(x)‖ with σ_1 {whole}, not of its kernel; from below no bound is known."
    elif facts.kind == "other":
        yield ONE_SIDED, f"λ(x) ≤ σ_1 ‖g(x)‖ with σ_1 {whole}, if that is linear; from below no bound is known."


def _shape(facts: Situation) -> str:
    if facts.inputs is not None:
        return f"wider than its input ({facts.neurons} > {facts.inputs})"
    return "a convolution" if facts.kind == "convolution" else "not a matrix"


def _sum(facts: Situation) -> Iterator[_Reason]:
    """Why φ is less than the gradient norm of a sample."""
    if facts.bias == "none":
        yield DESCRIPTIVE, f"The layer {facts.layer!r} has no bias: φ is what one would have received."
    if facts.samples > 1 or facts.passes > 1 or facts.processes > 1:
        count = f"batches of up to {facts.samples}"
        if facts.passes > 1:
            count += f", accumulated over {facts.passes} passes"
        if facts.processes > 1:
            count += f", in {facts.processes} processes"
        yield (
            ONE_SIDED,
            (
                f"With {count}, gradients of different samples cancel: φ ≤ the largest ‖g(x)‖ of the batch, and"
                " nothing bounds λ from"
                " above."
            ),
        )
    if facts.shared:
        yield (
            ONE_SIDED,
            (
                "The bias is shared by many positions of a sample, whose gradients cancel, too: φ is at most"
                " √(positions) times the"
                " largest ‖g(x)‖."
            ),
        )


def _samples(facts: Situation) -> Iterator[_Reason]:
    if facts.compiled:
        yield (
            NOTHING,
            (
                "The model is compiled: hooks within would break it into parts that round differently, so that no single sample"
                " is looked at."
            ),
        )
    if facts.unmatched:
        yield (
            NOTHING,
            (
                f"In {facts.unmatched} passes the first layer's output has another first dimension than f, so that"
                " samples cannot be"
                " told apart."
            ),
        )


def _movement(facts: Situation) -> Iterator[_Reason]:
    """Why the path of the bias is not the one of which the theory speaks."""
    if facts.bias == "none":
        yield NOTHING, f"The layer {facts.layer!r} has no bias."
        return
    if facts.bias == "frozen":
        yield NOTHING, f"The bias of {facts.layer!r} is frozen and does not move."
        return
    if facts.bias == "left out":
        yield NOTHING, f"The bias of {facts.layer!r} is not among the optimizer's parameters."
        return
    if not facts.samples:
        yield NOTHING, "No backward pass of the model was seen."
        return
    if not facts.plain:
        momentum = " with momentum" if facts.optimizer == "SGD" else ""
        yield (
            DESCRIPTIVE,
            f"{facts.optimizer}{momentum} moves the bias by something else than α times the gradient of the step.",
        )
    if facts.decay:
        yield DESCRIPTIVE, f"A weight decay of {facts.decay:g} moves the bias, whatever the data."
    if facts.clipped:
        yield DESCRIPTIVE, "Gradients were changed before the step, as by clipping."
    if facts.rate_changed:
        yield DESCRIPTIVE, "The learning rate changed: distances add up steps of different size; compare at the same rate."
    if facts.samples > 1 or facts.passes > 1 or facts.processes > 1:
        yield (
            DESCRIPTIVE,
            "With more than one sample a step the updates are those of batches, of which Theorem 1 does not speak.",
        )
    if facts.shared:
        yield DESCRIPTIVE, "The bias is shared by many positions, and moves by the sum of their gradients."
    if any(scope != THEORY for scope, _ in _gradient(facts)):
        yield DESCRIPTIVE, "What holds the gradients back from Lemma 1 (see gradient_norm) does so here."


def _lipschitz(facts: Situation) -> Statement:
    if not facts.probed:
        return Statement("lipschitz", NOTHING, ("No probe= was given.",))
    text = (
        f"λ is computed, not inferred: the norm of the gradient of f at each of {facts.probed} points of the"
        " probe, in evaluation"
        " mode and without autocast."
    )
    reasons = [text]
    if facts.outputs is not None and facts.outputs > 1:
        reasons.append("With several outputs it is the spectral norm of the Jacobian.")
    if "embedding" in facts.before or facts.kind == "embedding":
        reasons.append("Where inputs are tokens, the gradient is with respect to their embeddings.")
    reasons.append("It says nothing of other points.")
    return Statement("lipschitz", THEORY, tuple(reasons))


def _notes(facts: Situation) -> Iterator[str]:
    if facts.probability:
        yield "f is a probability, as in the paper: its slope vanishes where the network is certain, whichever way."
    elif facts.probability is False and facts.outputs is not None:
        yield (
            "f is not squashed, like a logit or a regression's output; the paper's classifiers have the probability as f, whose"
            " slope is at most a quarter of its logit's."
        )
    if facts.kind == "normalisation" or "normalisation" in facts.behind:
        yield "LayerNorm and its like work on each sample alone: gradients are those of f, normalisation and all."
    if facts.dropout:
        yield "Dropout: φ and ‖g‖ are of the network as it was thinned in that pass, λ of a probe of the whole network."
    if facts.attention:
        yield "Attention has no global Lipschitz constant; local ones are of a whole sample, all positions together."
    if not facts.weights_trained and facts.kind in ("linear", "convolution"):
        yield "The weights of the first layer are frozen, as in the paper, where W_1 = I."
    if facts.autocast:
        yield "Under autocast gradients have three to four digits; the scaler's factor cancels in φ and ‖g‖."
    if facts.discarded:
        yield (
            f"{facts.discarded} times gradients were set to zero, or a step was skipped by a scaler, after a"
            " backward pass: these"
            " passes are in no record."
        )
    if facts.astray:
        yield f"{facts.astray} gradients came to the first layer by a way that does not pass f, and are in no record."
