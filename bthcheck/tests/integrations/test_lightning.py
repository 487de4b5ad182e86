"""Which module Lightning's callback watches, what it refuses, and that it comes and goes without a trace."""

import re

import lightning.pytorch
import pytest
import pytorch_lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from bthcheck.tests.integrations.lit import Adversaries, CallsItsNet, Lit, WithoutForward, fit, loader
from bthcheck.tests.integrations.networks import assert_same_bits, assert_same_records, mlp, points
from bthcheck.watching.lightning import Watch


def hooks_of(model):
    return [hook for module in model.modules() for hook in (*module._forward_hooks, *module._forward_pre_hooks)]


def one_net():
    return WithoutForward(net=mlp())


def encoder_and_decoder():
    return WithoutForward(encoder=nn.Linear(5, 3).double(), decoder=nn.Linear(3, 1).double())


@pytest.mark.parametrize(
    ("make", "name", "watched", "layer"),
    [
        (Lit, None, "Lit", "net.0"),
        (Lit, "net", "Sequential", "0"),
        (CallsItsNet, "net", "Sequential", "0"),
        (one_net, None, "Sequential", "0"),
        (lambda: WithoutForward(body=nn.Sequential(mlp())), "body.0", "Sequential", "0"),
        (encoder_and_decoder, "decoder", "Linear", ""),
    ],
)
def test_which_module_is_watched(make, name, watched, layer):
    callback = Watch(model=name)
    fit(make(), callback, max_epochs=1)
    records = callback.dataset()
    assert (records.attrs["model"], records.attrs["layer"]) == (watched, layer)
    assert records.phi.notnull().all()


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (encoder_and_decoder, {}, "WithoutForward has no forward and 2 modules with layers; say with model= which of them is"
         " the network, such as 'encoder', 'decoder'"),
        (Lit, {"model": "nets"}, "model must name a module inside Lit, such as 'net', got 'nets'"),
        (Adversaries, {"model": "generator"}, "configure_optimizers returned 2 optimizers; say which one trains the network"
         " with optimizer=, a number from 0 to 1"),
        (Lit, {"optimizer": 1}, "returned 1 optimizers; .* from 0 to 0, got optimizer=1"),
        (Adversaries, {"model": "generator", "optimizer": 1}, "the optimizer trains no parameter of this model"),
        (Lit, {"layer": "net.1"}, "layer must name a layer of the model, such as 'net.0', 'net.2', got 'net.1'"),
        (Lit, {"every": 0}, "every must be a whole number"),
        (Lit, {"probe": torch.zeros(2, 3).double()}, "the model cannot be evaluated at the probe"),
    ],
)  # fmt: skip
def test_what_cannot_be_watched_is_refused_before_training(make, options, said):
    module, callback = make(), Watch(**options)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(ValueError, match=said):
        fit(module, callback)
    assert_same_bits(before, module.state_dict())
    assert not hooks_of(module)
    with pytest.raises(ValueError, match="nothing was watched yet"):
        callback.dataset()


def test_a_network_that_is_never_called_is_refused_before_the_first_step():
    module = CallsItsNet()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(
        ValueError, match=re.escape("training_step of CallsItsNet did not call self(…), or without gradients")
    ) as e:
        fit(module, Watch())
    assert "which module it calls, such as 'net'" in str(e.value)
    assert_same_bits(before, module.state_dict())
    assert not hooks_of(module)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"evry": 2}, "'evry' is no option of a watch; there are 'layer', 'output', 'probe', 'every', "),
        ({"model": nn.Linear(1, 1)}, "model must be the name of a module inside the LightningModule, got a Linear"),
        ({"optimizer": True}, "optimizer must be the number of an optimizer, from 0, got True"),
        ({"optimizer": -1}, "optimizer must be the number of an optimizer"),
    ],
)
def test_what_is_no_option_is_refused_at_once(options, said):
    with pytest.raises(TypeError, match=said):
        Watch(**options)


class Stops(Lit):
    """Raises in the third batch of the second epoch."""

    def training_step(self, batch, index):
        if index == 2 and self.current_epoch == 1:
            raise RuntimeError("out of paper")
        return super().training_step(batch, index)


def test_an_exception_ends_the_watch_and_loses_nothing():
    module, callback = Stops(), Watch(probe=points(2)[0])
    with pytest.raises(RuntimeError, match="out of paper"):
        fit(module, callback)
    assert not hooks_of(module)
    assert callback.dataset().epoch.values.tolist() == [1] * 7 + [2] * 2
    fit(module, callback, max_epochs=1)  # and again
    assert callback.dataset().sizes["step"] == 7


def test_checkpoints_know_nothing_of_it_and_training_goes_on_from_them(tmp_path):
    found = []
    for callbacks in ((), (Watch(),)):
        folder = tmp_path / str(len(callbacks))
        saving = ModelCheckpoint(dirpath=folder, filename="{epoch}", save_top_k=-1)
        module = Lit(optimizer=torch.optim.Adam)
        trainer = fit(module, saving, *callbacks, enable_checkpointing=True)
        trainer.save_checkpoint(folder / "last.ckpt")
        found.append([torch.load(folder / name, weights_only=False) for name in ("epoch=0.ckpt", "last.ckpt")])
    for without, watched in zip(*found, strict=True):
        assert_same_bits(without["state_dict"], watched["state_dict"])
        assert_same_bits(without["optimizer_states"], watched["optimizer_states"])
        assert [name for name in watched["callbacks"] if "Watch" in name] == []
    ends = []
    for callbacks in ((), (Watch(),)):
        module = Lit(optimizer=torch.optim.Adam)
        trainer = fit(module, *callbacks, max_epochs=1)
        torch.manual_seed(0)
        trainer.fit_loop.max_epochs = 3
        trainer.fit(module, loader(), ckpt_path=tmp_path / "1" / "epoch=0.ckpt", weights_only=False)
        ends.append(module.state_dict())
    assert_same_bits(*ends)
    assert callbacks[0].dataset().epoch.values.tolist() == [2] * 7 + [3] * 7


class LitByTheOlderName(pytorch_lightning.LightningModule):
    """The same as Lit."""

    def __init__(self):
        super().__init__()
        self.net = mlp()

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, index):
        return ((self(batch[0]) - batch[1]) ** 2).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


def test_the_older_name_of_lightning_will_do():
    callbacks = Watch(), Watch()
    fit(Lit(), callbacks[0])
    fit(LitByTheOlderName(), callbacks[1], trainer=pytorch_lightning.Trainer)
    assert isinstance(callbacks[0], (pytorch_lightning.Callback, lightning.pytorch.Callback))
    assert_same_records(*(callback.dataset() for callback in callbacks))


def test_what_can_be_asked_for_during_a_training_and_afterwards():
    class Asks(Lit):
        def on_train_batch_end(self, outputs, batch, index):
            sizes.append(callback.dataset().sizes["step"])

    sizes = []
    told = {}
    callback = Watch(probe=points(3)[0], points=2, every=2, log=lambda values, step: told.update({step: values}))
    with pytest.raises(ValueError, match="nothing was watched yet"):
        callback.reading()
    fit(Asks(), callback, max_epochs=1)
    assert sizes == [1, 1, 2, 2, 3, 3, 4]
    assert callback.dataset().sizes == {"step": 4, "probe": 2}
    assert list(told) == [1, 3, 5, 7]
    assert "Lemma 1" in str(callback.reading())
    assert callback.plot().axes
