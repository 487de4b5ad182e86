"""Networks that a training may be of; all take (m, 12) and have four outputs."""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def mlp():
    return nn.Sequential(nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 4))


def in_place():
    return nn.Sequential(nn.Linear(12, 12), nn.ReLU(inplace=True), nn.Linear(12, 4))


def cnn():
    return nn.Sequential(
        nn.Unflatten(1, (3, 2, 2)), nn.Conv2d(3, 5, 2, padding=1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(45, 4)
    )


def batch_norm():
    return nn.Sequential(nn.Linear(12, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 4))


def batch_norm_first():
    return nn.Sequential(nn.BatchNorm1d(12), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 4))


def folded():
    """A convolution without a bias and a BatchNorm that has it, as in residual networks."""
    return nn.Sequential(
        nn.Unflatten(1, (3, 2, 2)), nn.Conv2d(3, 5, 2, bias=False), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(5, 4)
    )


def layer_norm():
    return nn.Sequential(nn.Linear(12, 12), nn.LayerNorm(12), nn.GELU(), nn.Linear(12, 4))


def dropout():
    return nn.Sequential(nn.Linear(12, 12), nn.ReLU(), nn.Dropout(0.5), nn.Linear(12, 4))


def deep():
    """What a compiler fuses, and a Dropout that it draws for."""
    return nn.Sequential(
        nn.Unflatten(1, (3, 2, 2)), nn.Conv2d(3, 8, 2, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 2),
        nn.GELU(), nn.Flatten(), nn.LayerNorm(32), nn.Linear(32, 12), nn.Tanh(), nn.Dropout(0.2), nn.Linear(12, 4),
    )  # fmt: skip


def no_bias():
    return nn.Sequential(nn.Linear(12, 16, bias=False), nn.ReLU(), nn.Linear(16, 4, bias=False))


def frozen():
    network = in_place()
    network[0].requires_grad_(False)
    return network


def spectral():
    return nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(12, 12)), nn.ReLU(), nn.Linear(12, 4))


class Residual(nn.Module):
    """Twelve numbers, with a way around the first layer."""

    def __init__(self):
        super().__init__()
        self.inside, self.head = nn.Linear(12, 12), nn.Linear(12, 4)

    def forward(self, x):
        return self.head(x + self.inside(x).tanh())


class Tokens(nn.Module):
    """Twelve tokens, made of the signs of the input, through attention."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(2, 8)
        block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(block, 1)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.encoder(self.embedding((x > 0).long())).mean(1))


class Recurrent(nn.Module):
    """One layer called at every position of a sequence."""

    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.Linear(3 + 6, 6), nn.Linear(6, 4)

    def forward(self, x):
        h = x.new_zeros(len(x), 6)
        for part in x.split(3, 1):
            h = self.cell(torch.cat([part, h], 1)).tanh()
        return self.head(h)


class Checkpointed(nn.Module):
    """A network whose first half is run again in the backward pass."""

    def __init__(self, reentrant):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(12, 12), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(12, 4)
        self.reentrant = reentrant

    def forward(self, x):
        if self.reentrant and torch.is_grad_enabled() and not x.requires_grad:
            x = x.detach().requires_grad_()  # which this kind of checkpoint asks for
        return self.head(checkpoint(self.first, x, use_reentrant=self.reentrant))


class Answer(dict):
    """What networks that compute their own loss return."""


class WithLoss(nn.Module):
    """Returns a loss and logits by name."""

    def __init__(self):
        super().__init__()
        self.network = mlp()

    def forward(self, x, y=None):
        logits = self.network(x)
        return Answer(loss=None if y is None else nn.functional.cross_entropy(logits, y), logits=logits)
