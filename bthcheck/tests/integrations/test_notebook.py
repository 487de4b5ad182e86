"""A figure in a real notebook that is drawn again as records come in."""

import base64

import nbformat
import pytest
import torch
from nbclient import NotebookClient

import bthcheck
from bthcheck.tests.integrations.networks import mlp

CELLS = (
    """
import torch
import bthcheck
from bthcheck.tests.integrations.networks import mlp, points
torch.set_num_threads(1)
net = mlp()
optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
x, y = points(5)
w = bthcheck.watch(net, optimizer)
""",
    "figure = w.plot(live=True)",
    """
for _ in range(40):
    optimizer.zero_grad()
    ((net(x) - y) ** 2).mean().backward()
    optimizer.step()
w.detach()
""",
    "w.reading()",
)


class Watched(NotebookClient):
    """Keeps every picture that a display is given."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.pictures = []

    def process_message(self, message, cell, cell_index):
        if message["msg_type"] in ("display_data", "update_display_data"):
            content = message["content"]
            self.pictures.append((message["msg_type"], content["transient"]["display_id"], content["data"]["image/png"]))
        return super().process_message(message, cell, cell_index)


def test_the_figure_is_updated_as_records_come_in():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    client = Watched(notebook, timeout=120, kernel_name="python3")
    client.execute()
    kinds, displays, pictures = zip(*client.pictures, strict=True)
    assert kinds[0] == "display_data"
    assert set(kinds[1:]) == {"update_display_data"}
    assert len(kinds) > 2
    assert len(set(displays)) == 1
    assert len(set(pictures)) == len(pictures)
    assert all(base64.b64decode(picture).startswith(b"\x89PNG") for picture in pictures)
    (shown,) = notebook.cells[1].outputs  # in the cell's own output, and nowhere else
    assert shown["data"]["image/png"] == pictures[-1]
    assert not notebook.cells[2].outputs
    assert "text/markdown" in notebook.cells[3].outputs[0]["data"]


def test_elsewhere_it_says_so():
    net = mlp()
    watch = bthcheck.watch(net, torch.optim.SGD(net.parameters(), lr=0.05))
    with watch as w, pytest.raises(ValueError, match=r"live=True draws in a notebook; elsewhere plot\(\) returns the figure"):
        w.plot(live=True)
