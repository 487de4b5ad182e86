"""Small models of random weights for Hugging Face's Trainer, and how they are trained here."""

import torch
from torch.utils.data import Dataset
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedConfig,
    PreTrainedModel,
    Trainer,
    TrainingArguments,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from bthcheck.tests.integrations.networks import mlp, points

SMALL = {"vocab_size": 17, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


class Rows(Dataset):
    """Tensors of one length, as a Trainer takes them."""

    def __init__(self, **columns):
        self.columns = columns

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, row):
        return {name: values[row] for name, values in self.columns.items()}


def tokens(count=14, length=6, seed=3):
    return torch.randint(3, 17, (count, length), generator=torch.Generator().manual_seed(seed))


def gpt2():
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=2, n_positions=8, **SMALL))


def bert():
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}
    return BertForSequenceClassification(BertConfig(max_position_embeddings=8, num_labels=3, **sizes, **SMALL))


class Regression(PreTrainedModel):
    """An MLP of the kind that the Trainer takes."""

    config_class = PreTrainedConfig

    def __init__(self, config):
        super().__init__(config)
        self.net = mlp()
        self.post_init()

    def _init_weights(self, module):
        pass

    def forward(self, x, labels=None):
        f = self.net(x)
        loss = None if labels is None else ((f - labels) ** 2).mean()
        return SequenceClassifierOutput(loss=loss, logits=f)


def regression():
    return Regression(PreTrainedConfig())


def rows_of(make, count=14, seed=3):
    if make is gpt2:
        return Rows(input_ids=tokens(count, seed=seed), labels=tokens(count, seed=seed))
    if make is bert:
        return Rows(input_ids=tokens(count, seed=seed), labels=tokens(count, seed=seed)[:, 0] % 3)
    x, y = points(count, seed)
    return Rows(x=x, labels=y)


def fit(model, make, *callbacks, count=14, **options):
    """Train a model on points of its kind quietly; return the Trainer."""
    settings = {
        "per_device_train_batch_size": 3, "num_train_epochs": 2, "logging_steps": 1, "save_strategy": "no", "report_to": "none",
        "use_cpu": True, "disable_tqdm": True, "seed": 4, "learning_rate": 1e-2, "output_dir": "trainer", **options,
    }  # fmt: skip
    trainer = Trainer(
        model, TrainingArguments(**settings), train_dataset=rows_of(make, count), eval_dataset=rows_of(make, seed=5),
        callbacks=list(callbacks),
    )  # fmt: skip
    trainer.train()
    return trainer
