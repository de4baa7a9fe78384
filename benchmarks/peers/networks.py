"""The networks of the comparison as PyTorch modules, under the names that epsball's zoo reads, and
the model files that hold them."""

import json

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F


class PreActBlock(nn.Module):
    """The shortcut convolution reads the block's input."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False))

    def forward(self, x):
        y = self.conv1(F.relu(self.bn1(x), inplace=True))
        return self.conv2(F.relu(self.bn2(y), inplace=True)) + self.shortcut(x)


class PreActResNet18(nn.Module):
    """`preact-resnet-18`: no norm before the head."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        inputs = 64
        for stage in range(4):
            outputs = 64 << stage
            first = PreActBlock(inputs, outputs, 1 if stage == 0 else 2)
            blocks = nn.Sequential(first, PreActBlock(outputs, outputs, 1))
            setattr(self, f"layer{stage + 1}", blocks)
            inputs = outputs
        self.linear = nn.Linear(inputs, 10)

    def forward(self, x):
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.conv1(x)))))
        return self.linear(x.mean((2, 3)))


class WideBlock(nn.Module):
    """The shortcut convolution, where the width changes, reads the activated input."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.convShortcut = None
        if stride != 1 or inputs != outputs:
            self.convShortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        activated = F.relu(self.bn1(x), inplace=True)
        y = self.conv2(F.relu(self.bn2(self.conv1(activated)), inplace=True))
        return y + (x if self.convShortcut is None else self.convShortcut(activated))


class WideStage(nn.Module):
    def __init__(self, blocks, inputs, outputs, stride):
        super().__init__()
        first = WideBlock(inputs, outputs, stride)
        rest = [WideBlock(outputs, outputs, 1) for _ in range(blocks - 1)]
        self.layer = nn.Sequential(first, *rest)

    def forward(self, x):
        return self.layer(x)


class WideResNet(nn.Module):
    """`wide-resnet` of depth 28 and widening factor 10."""

    def __init__(self, depth=28, widen_factor=10):
        super().__init__()
        blocks, width = (depth - 4) // 6, 16 * widen_factor
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.block1 = WideStage(blocks, 16, width, 1)
        self.block2 = WideStage(blocks, width, 2 * width, 2)
        self.block3 = WideStage(blocks, 2 * width, 4 * width, 2)
        self.bn1 = nn.BatchNorm2d(4 * width)
        self.fc = nn.Linear(4 * width, 10)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(F.relu(self.bn1(x), inplace=True).mean((2, 3)))


class SmallCNN(nn.Module):
    """`trades-small-cnn`, for MNIST; its dropout is the identity in evaluation and left out."""

    def __init__(self):
        super().__init__()
        self.feature_extractor = nn.Sequential()
        for i, (inputs, outputs) in enumerate([(1, 32), (32, 32), (32, 64), (64, 64)], 1):
            self.feature_extractor.add_module(f"conv{i}", nn.Conv2d(inputs, outputs, 3))
            self.feature_extractor.add_module(f"relu{i}", nn.ReLU(inplace=True))
            if i % 2 == 0:
                self.feature_extractor.add_module(f"maxpool{i}", nn.MaxPool2d(2, 2))
        self.classifier = nn.Sequential()
        for i, (inputs, outputs) in enumerate([(1024, 200), (200, 200), (200, 10)], 1):
            self.classifier.add_module(f"fc{i}", nn.Linear(inputs, outputs))
            if i < 3:
                self.classifier.add_module(f"relu{i}", nn.ReLU(inplace=True))

    def forward(self, x):
        return self.classifier(self.feature_extractor(x).flatten(1))


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.downsample.append(nn.Conv2d(inputs, outputs, 1, stride, bias=False))
            self.downsample.append(nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        return F.relu(y + self.downsample(x), inplace=True)


class ResNet110(nn.Module):
    """`smoothing-resnet-110`, with the normalisation that it begins with."""

    def __init__(self, depth=110):
        super().__init__()
        mean, std = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        inputs = 16
        for stage in range(3):
            outputs = 16 << stage
            blocks = nn.Sequential()
            for block in range((depth - 2) // 6):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(ResidualBlock(inputs, outputs, stride))
                inputs = outputs
            setattr(self, f"layer{stage + 1}", blocks)
        self.fc = nn.Linear(inputs, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1((x - self.mean) / self.std)), inplace=True)
        return self.fc(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


class Normalised(nn.Module):
    """A network of torchvision for ImageNet with the normalisation that epsball's begins with."""

    def __init__(self, network):
        super().__init__()
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        self.network = network

    def forward(self, x):
        return self.network((x - self.mean) / self.std)


@torch.no_grad()
def of_torchvision(name):
    """A network of torchvision with random weights. What it initialises so that a block or the head gives nothing at
    first, scales of residual branches and the head of the vision transformer, is drawn as if it were trained."""
    from torchvision import models

    network = getattr(models, name)(weights=None)
    for key, parameter in network.named_parameters():
        if key.endswith("layer_scale"):
            parameter.uniform_(0.05, 0.5)
        elif key == "heads.head.weight":
            nn.init.trunc_normal_(parameter, std=0.02)
    return Normalised(network)


@torch.no_grad()
def random_weights(network, images, seed):
    """Random weights whose batch norms have seen `images` and scale and shift like trained ones, so
    that activations keep their size down to the logits."""
    torch.manual_seed(seed)
    module = network()
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.normal_(0.0, 0.1)
    module.train()(images)
    return module.eval()


def write_model(path, module, architecture, parameters, images, labels, classes=10):
    """Two files of epsball's side: the weights with their card, and the inputs."""
    normalised = module if isinstance(module, Normalised) else None
    module = normalised.network if normalised else module
    card = {
        "format_version": 1,
        "name": path.name,
        "architecture": architecture,
        "input_shape": list(images.shape[1:]),
        "classes": classes,
        "parameters": parameters,
    }
    # A card that says nothing of it means a network that takes pixels as they are.
    if normalised:
        card |= {"mean": normalised.mean.flatten().tolist(), "std": normalised.std.flatten().tolist()}
    weights = {k: v.contiguous() for k, v in module.state_dict().items()}
    weights = {k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")}
    save_file(weights, f"{path}.safetensors", {"epsball": json.dumps(card)})
    save_file({"images": images, "labels": labels}, f"{path}.inputs.safetensors")
