"""What could be wrong with optimizers and with networks of one's own, and the tests that have to notice it."""

from bthcheck.tests.mutation import Mutant

OPTIMIZERS, REFERENCE = "training/optimizers.py", "training/reference.py"
AS_TORCH = "training/test_optimizers.py::test_reference_steps_as_torch_optim_does"
REAL_PATH = "training/test_optimizers.py::test_what_is_measured_of_the_bias_is_its_real_path"
SHARED = "training/test_own.py::test_phi_is_the_gradient_of_the_shared_bias_over_the_mean_slope"
STACKED_OWN = "training/test_own.py::test_stacked_agrees_with_reference"
FIRST_STEP = "training/test_optimizers.py::test_phi_and_lambda_of_the_first_step_know_no_optimizer"

MUTANTS_OF_ONES_OWN = [
    Mutant(
        "another optimizer", "momentum dampened", OPTIMIZERS,
        "velocity.mul_(training.momentum).add_(gradient)",
        "velocity.mul_(training.momentum).add_(gradient, alpha=1 - training.momentum)",
        (f"{AS_TORCH}[momentum-1]",),
    ),
    Mutant(
        "another optimizer", "weight decay coupled where it is decoupled", OPTIMIZERS,
        'coupled = decay if training.optimizer != "adamw" else 0.0',
        "coupled = decay",
        (f"{AS_TORCH}[adamw-1]",),
    ),
    Mutant(
        "another optimizer", "weight decay decoupled where it is coupled", OPTIMIZERS,
        'coupled = decay if training.optimizer != "adamw" else 0.0',
        'coupled = decay if training.optimizer == "sgd" else 0.0',
        (f"{AS_TORCH}[adam, weight decay-1]",),
    ),
    Mutant(
        "another optimizer", "Adam without the correction of its start", OPTIMIZERS,
        "1 - beta**self._count, (1 - beta_squared**self._count).sqrt()",
        "1.0, 1.0",
        (f"{AS_TORCH}[adam-1]",),
    ),
    Mutant(
        "another optimizer", "every tensor clipped by the longest of all", OPTIMIZERS,
        "torch.linalg.vector_norm(norms, dim=0)",
        "norms.amax(0)",
        (f"{AS_TORCH}[clip-1]",),
    ),
    Mutant(
        "another optimizer", "gradients lengthened by the clip", OPTIMIZERS,
        ".clamp(max=1.0)",
        "",
        (f"{AS_TORCH}[clip-1]",),
    ),
    Mutant(
        "bias of a convolution", "φ without the sum over places, reference engine", "training/views.py",
        "return g.sum(summed_dimensions(self._layer, g))",
        "return g.flatten(1).norm(dim=0)",
        (f"{SHARED}[images]",),
    ),
    Mutant(
        "bias of a convolution", "φ without the sum over places, stacked engine", "training/stacked/whole.py",
        "return gradient.sum(summed_dimensions(self.layer, gradient))",
        "return gradient.sum(0)",
        (f"{STACKED_OWN}[cpu-convolution]",),
    ),
    Mutant(
        "module of one's own", "z overwritten by an in-place ReLU", "training/views.py",
        "return z.clone()  # which",
        "return z  # which",
        (f"{SHARED}[images]",),
    ),
    Mutant(
        "module of one's own", "λ in training mode", "training/views.py",
        "        with evaluating(self.module):\n            return local_constants",
        "        if True:\n            return local_constants",
        ("training/test_own.py::test_lambda_is_the_slope_in_evaluation_mode",),
    ),
    Mutant(
        "module of one's own", "weights without buffers", "training/runs.py",
        "buffer.copy_(values.view_as(buffer))",
        "pass",
        ("training/test_own.py::test_buffers_come_back_too",),
    ),
    Mutant(
        "other code", "data of a task of one's own", "training/fingerprints.py",
        '"data": _digest(data)',
        '"data": ""',
        ("training/test_own_cache.py::test_a_file_that_is_read_counts",),
    ),
    Mutant(
        "other code", "what a module of one's own imports", "training/own_code.py",
        "pending += [name for name in imported",
        "pending += [name for name in imported[:0]",
        ("training/test_own_cache.py::test_a_change_of_what_is_imported_counts",),
    ),
    Mutant(
        "optimizer in a statistic", "update sum, reference engine", REFERENCE,
        "directions[bias].norm(), loss,",
        "gradients[bias].norm(), loss,",
        (f"{REAL_PATH}[momentum]", f"{REAL_PATH}[adamw]"),
    ),
    Mutant(
        "optimizer in a statistic", "φ, reference engine", REFERENCE,
        "    loss = replace(loss, values=loss.values.detach())\n",
        "    loss = replace(loss, values=loss.values.detach())\n"
        "    phi = phi * directions[bias].norm() / gradients[bias].norm()\n",
        (f"{FIRST_STEP}[adam]",),
    ),
]  # fmt: skip
