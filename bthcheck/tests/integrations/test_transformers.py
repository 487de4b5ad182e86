"""Hugging Face's Trainer trains to the bit as without the callback, and every step of its optimizer has its record."""

import numpy as np
import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedConfig, Trainer, TrainerCallback, TrainingArguments

import bthcheck
from bthcheck.tests.integrations.hugging import SMALL, Regression, Rows, bert, fit, gpt2, regression, rows_of
from bthcheck.tests.integrations.networks import assert_same_bits, assert_same_records, phi_by_hand, points
from bthcheck.watching.transformers import Watch

CASES = {
    "GPT-2": (gpt2, {}, 10),
    "BERT": (bert, {}, 10),
    "regression": (regression, {}, 10),
    "GPT-2, accumulation": (gpt2, {"gradient_accumulation_steps": 2}, 6),
    "BERT, accumulation": (bert, {"gradient_accumulation_steps": 3}, 4),
    "regression, accumulation": (regression, {"gradient_accumulation_steps": 2}, 6),
    "BERT, evaluation": (bert, {"eval_strategy": "steps", "eval_steps": 2, "eval_on_start": True}, 10),
    "regression, no clipping": (regression, {"max_grad_norm": 0.0}, 10),
    "BERT, bf16": (bert, {"bf16": True}, 10),
    "GPT-2, checkpointing": (gpt2, {"gradient_checkpointing": True}, 10),
    "BERT, label smoothing": (bert, {"label_smoothing_factor": 0.1}, 10),
    "regression, SGD": (regression, {"optim": "sgd", "lr_scheduler_type": "constant"}, 10),
    "BERT, max_steps": (bert, {"max_steps": 4}, 4),
}


class Losses(TrainerCallback):
    """Keeps what is logged."""

    def __init__(self):
        self.losses = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            self.losses.append(logs["loss"])


@pytest.mark.parametrize("case", CASES)
def test_training_is_the_same_to_the_bit(case):
    make, options, steps = CASES[case]
    alone, watched, callback, losses = make(), make(), Watch(probe_every="epoch"), Losses()
    without = fit(alone, make, **options)
    state = torch.random.get_rng_state()
    trainer = fit(watched, make, callback, losses, **options)
    assert torch.equal(state, torch.random.get_rng_state())
    assert_same_bits(alone.state_dict(), watched.state_dict())
    assert_same_bits(without.optimizer.state_dict(), trainer.optimizer.state_dict())
    for one, other in zip(alone.modules(), watched.modules(), strict=True):  # transformers may have some of its own
        assert len(one._forward_hooks) == len(other._forward_hooks)
        assert len(one._forward_pre_hooks) == len(other._forward_pre_hooks)
    records = callback.dataset()
    assert records.sizes["step"] == trainer.state.global_step == steps
    assert records.phi.notnull().all()
    assert (records.phi > 0).all()
    np.testing.assert_array_equal(records.train_loss, losses.losses)
    per = steps if "max_steps" in options else steps // 2
    assert records.epoch.values.tolist() == [1] * per + [2] * (steps - per)


@pytest.mark.parametrize("count", [1, 2])
def test_phi_is_that_of_per_sample_autograd(count):
    class ByHand(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, model, **kwargs):
            found.append(phi_by_hand(model.net[0], model.net[1:], given[:], lambda f, y: ((f - y) ** 2).mean()))
            given.clear()

    class Given(Regression):
        def forward(self, x, labels=None):
            if torch.is_grad_enabled():
                given.append((x, labels))
            return super().forward(x, labels)

    given, found, callback = [], [], Watch()
    fit(Given(PreTrainedConfig()), regression, callback, ByHand(), gradient_accumulation_steps=count)
    np.testing.assert_allclose(callback.dataset().phi, found, rtol=1e-10)


def test_phi_of_a_language_model_is_that_of_per_sample_autograd():
    """z is a layer behind the embedding, with a position a row; f has a row of logits a position."""

    class ByHand(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, model, **kwargs):
            kept = []
            handle = model.transformer.h[0].ln_1.register_forward_hook(lambda module, args, z: kept.append(z))
            gradients, slopes = 0.0, 0.0
            for ids in given[-1]:
                kept.clear()
                f = model.forward(ids[None]).logits
                loss = nn.functional.cross_entropy(f[0, :-1], ids[1:], reduction="sum")
                of_f, of_z = torch.autograd.grad(loss, [f, kept[0]])
                gradients = gradients + of_z[0].sum(0)
                slopes = slopes + of_f.norm()
            handle.remove()
            found.append(float(gradients.norm() / slopes))

    class Given(GPT2LMHeadModel):
        def forward(self, input_ids, labels=None, **kwargs):
            if labels is not None:
                given.append(input_ids)
            return super().forward(input_ids, labels=labels, **kwargs)

    given, found, callback = [], [], Watch(layer="transformer.h.0.ln_1")
    sizes = {"n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 8}
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    fit(Given(GPT2Config(**sizes, **still, **SMALL)).double(), gpt2, callback, ByHand())
    np.testing.assert_allclose(callback.dataset().phi, found, rtol=1e-6)  # transformers computes the loss in float32


def test_records_are_those_of_a_plain_loop():
    class Orders(Rows):
        def __getitem__(self, row):
            order.append(row)
            return super().__getitem__(row)

    order, x = [], points(4, seed=9)[0]
    model, callback = regression(), Watch(probe={"x": x}, probe_every=3)
    settings = {"optim": "sgd", "lr_scheduler_type": "constant", "max_grad_norm": 0.0, "learning_rate": 0.05}
    arguments = TrainingArguments(
        "trainer", per_device_train_batch_size=2, num_train_epochs=2, logging_steps=1, save_strategy="no", report_to="none",
        use_cpu=True, disable_tqdm=True, **settings,
    )  # fmt: skip
    rows = Orders(**rows_of(regression).columns)
    Trainer(model, arguments, train_dataset=rows, callbacks=[callback]).train()
    plain = regression()
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05)
    batches = torch.tensor(order).reshape(2, 7, 2)
    with bthcheck.watch(plain, optimizer, probe={"x": x}, probe_every=3) as w:
        for epoch in range(2):
            w.mark(epoch=epoch + 1)
            for batch in batches[epoch]:
                optimizer.zero_grad()
                loss = plain(rows.columns["x"][batch], rows.columns["labels"][batch]).loss
                loss.backward()
                optimizer.step()
                w.mark(loss=loss.float())
    one, other = w.dataset(), callback.dataset()
    np.testing.assert_allclose(one.train_loss, other.train_loss, rtol=1e-6)  # which the Trainer logs in float32
    assert_same_records(one.drop_vars("train_loss"), other.drop_vars("train_loss"))
    assert one.attrs == other.attrs


def test_a_loss_that_is_a_mean_over_steps_is_not_that_of_one():
    callback = Watch()
    fit(bert(), bert, callback, logging_steps=2)
    assert callback.dataset().train_loss.isnull().all()


def test_a_loss_that_the_trainer_replaced_is_not_marked():
    class Broken(Regression):
        def forward(self, x, labels=None):
            found = super().forward(x, labels)
            calls.append(None)
            found.loss = found.loss * (float("nan") if len(calls) > 3 else 1.0)
            return found

    calls, callback = [], Watch()
    fit(Broken(PreTrainedConfig()), regression, callback)
    assert callback.dataset().train_loss.notnull().values.tolist() == [True] * 3 + [False] * 7


def test_an_exception_loses_nothing_and_the_block_detaches():
    class Stops(Regression):
        def forward(self, x, labels=None):
            calls.append(None)
            if len(calls) == 4:
                raise RuntimeError("out of paper")
            return super().forward(x, labels)

    calls, model = [], Stops(PreTrainedConfig())
    with pytest.raises(RuntimeError, match="out of paper"), Watch() as callback:
        fit(model, regression, callback)
    assert callback.dataset().sizes["step"] == 3
    assert not any(module._forward_hooks for module in model.modules())
    callback = Watch()
    calls.clear()
    with pytest.raises(RuntimeError, match="out of paper"):
        fit(model, regression, callback)
    fit(model, regression, callback)  # hooks that were left are replaced
    assert callback.dataset().sizes["step"] == 10
    assert not any(module._forward_hooks for module in model.modules())


def test_checkpoints_know_nothing_of_it_and_training_goes_on_from_them(tmp_path):
    found = []
    for callbacks in ((), (Watch(),)):
        folder = tmp_path / str(len(callbacks))
        fit(bert(), bert, *callbacks, save_strategy="epoch", output_dir=folder)
        resumed = bert()
        trainer = Trainer(
            resumed, TrainingArguments(folder, use_cpu=True, num_train_epochs=3, per_device_train_batch_size=3,
                                       disable_tqdm=True, report_to="none", save_strategy="no"),
            train_dataset=rows_of(bert), callbacks=list(callbacks),
        )  # fmt: skip
        trainer.train(resume_from_checkpoint=str(folder / "checkpoint-5"))
        found.append(resumed.state_dict())
    assert_same_bits(*found)
    assert callbacks[0].dataset().epoch.values.tolist() == [2] * 5 + [3] * 5
    names = [{path.relative_to(tmp_path / number) for path in (tmp_path / number).rglob("*")} for number in "01"]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"layer": "nets"}, "layer must name a layer of the model"), ({"limit": 0}, "limit must be a whole number")],
)
def test_what_cannot_be_watched_is_refused_before_training(options, said):
    model = regression()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=said):
        fit(model, regression, Watch(**options))
    assert_same_bits(before, model.state_dict())
    with pytest.raises(TypeError, match="'model' is no option of a watch"):
        Watch(model="net")
