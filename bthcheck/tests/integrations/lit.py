"""LightningModules of several habits, and how they are trained here."""

import copy

import lightning.pytorch as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from bthcheck.tests.integrations.networks import mlp, phi_by_hand, points


class Lit(pl.LightningModule):
    """Calls itself; keeps what it was given, and before every step works φ out by hand."""

    def __init__(self, net=None, optimizer=torch.optim.SGD, **settings):
        super().__init__()
        self.net = mlp() if net is None else net
        self.make = optimizer
        self.settings = {"lr": 0.05, **settings}
        self.by_hand = None
        self.given = []
        self.losses = []

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, index):
        x, y = batch
        loss = self.loss(self(x), y)
        self.given.append((x, y))
        self.losses.append(loss.item())
        return loss

    def loss(self, f, y):
        return ((f - y) ** 2).mean()

    def on_before_optimizer_step(self, optimizer):
        if self.by_hand is not None:
            net = copy.deepcopy(self.net)
            self.by_hand.append(phi_by_hand(net[0], net[1:], self.given, self.loss))
        self.given.clear()

    def validation_step(self, batch, index):
        self.log("val", self.loss(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        return self.make(self.parameters(), **self.settings)


class CallsItsNet(Lit):
    """Has a forward that training does not use."""

    def training_step(self, batch, index):
        return self.loss(self.net(batch[0]), batch[1])


class WithoutForward(pl.LightningModule):
    """Has no forward, but modules that training_step calls one after the other."""

    def __init__(self, **modules):
        super().__init__()
        for name, module in modules.items():
            setattr(self, name, module)

    def training_step(self, batch, index):
        z = batch[0]
        for module in self.children():
            z = module(z)
        return ((z - batch[1]) ** 2).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


class Manual(Lit):
    """Optimizes by hand: two backward passes every other step."""

    def __init__(self, passes=(1, 2), **settings):
        super().__init__(**settings)
        self.automatic_optimization = False
        self.passes = passes

    def training_step(self, batch, index):
        optimizer = self.optimizers()
        optimizer.zero_grad()
        x, y = batch
        for part in torch.arange(len(x)).chunk(self.passes[index % len(self.passes)]):
            loss = self.loss(self(x[part]), y[part])
            self.given.append((x[part], y[part]))
            self.losses.append(loss.item())
            self.manual_backward(loss)
        optimizer.step()


class Adversaries(pl.LightningModule):
    """Two networks with an optimizer each, of which one is trained through the other."""

    def __init__(self):
        super().__init__()
        self.generator, self.critic = mlp(), nn.Linear(1, 1).double()
        self.automatic_optimization = False
        self.losses = []

    def training_step(self, batch, index):
        of_generator, of_critic = self.optimizers()
        f = self.generator(batch[0])
        of_critic.zero_grad()
        self.manual_backward((self.critic(f.detach()) - self.critic(batch[1])).mean())
        of_critic.step()
        of_generator.zero_grad()
        loss = -self.critic(f).mean()
        self.losses.append(loss.item())
        self.manual_backward(loss)
        of_generator.step()

    def configure_optimizers(self):
        return [torch.optim.Adam(part.parameters(), lr=0.01) for part in (self.generator, self.critic)]


def loader(count=20, batch=3, seed=1):
    """Return points in batches, in their order."""
    return DataLoader(TensorDataset(*points(count, seed)), batch_size=batch)


def fit(module, *callbacks, trainer=pl.Trainer, seed=0, **options):
    """Train a module quietly; return the Trainer."""
    torch.manual_seed(seed)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    data, validation = options.pop("data", None), options.pop("validation", None)
    settings = {"max_epochs": 2, "accelerator": "cpu", "devices": 1, "num_sanity_val_steps": 0, **quiet, **options}
    made = trainer(callbacks=list(callbacks), **settings)
    made.fit(module, data or loader(), validation)
    return made
