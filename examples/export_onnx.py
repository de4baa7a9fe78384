"""Trains a small network with a squeeze-and-excitation gate, which is no architecture of the zoo, on the bundled digits,
and exports it to ONNX, as a user would with a network of their own.

    pip install torch numpy onnx
    python examples/export_onnx.py mine.onnx
    epsball attack  -m mine.onnx -d digits:test -a autoattack --norm Linf --eps 0.1
    epsball certify -m mine.onnx -d digits:test --sigma 0.25 --every 6 --n 1000
    epsball leaderboard results/mine--digits
"""
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

digits = Path(__file__).resolve().parent.parent / "datasets" / "digits"
images = torch.from_numpy(np.load(digits / "images.npy")).float()
images = images.reshape(-1, 1, 8, 8) / 16  # as epsball reads them: pixels in [0, 1]
labels = torch.from_numpy(np.load(digits / "labels.npy").astype("int64"))
images, labels = images[:-360], labels[:-360]  # the last 360 are `digits:test`


class Gated(nn.Module):
    """A convolution whose channels are weighted by what the whole image shows (Hu et al., CVPR 2018)."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(outputs, outputs // 4, 1), nn.ReLU(),
            nn.Conv2d(outputs // 4, outputs, 1), nn.Sigmoid(),
        )

    def forward(self, x):
        x = self.conv(x)
        return x * self.gate(x)


torch.manual_seed(0)
model = nn.Sequential(
    Gated(1, 16), nn.MaxPool2d(2), Gated(16, 32), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 4, 10)
)
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(15):
    for batch in torch.randperm(len(images)).split(64):
        noisy = images[batch] + 0.25 * torch.randn_like(images[batch])  # so that smoothing certifies something
        loss = nn.functional.cross_entropy(model(noisy), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

model.eval()
torch.onnx.export(
    model, images[:1], sys.argv[1], dynamo=False, input_names=["image"], output_names=["logits"],
    dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
)
print(f"wrote {sys.argv[1]}")
