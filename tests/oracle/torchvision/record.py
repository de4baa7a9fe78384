"""Records logits and input gradients of torchvision's architectures with random weights, for the test
in ../torchvision.rs.

    record.py FOLDER

For each architecture FOLDER gets NAME.safetensors, the state dict, and NAME.recorded, a safetensors file
with two images, labels, logits, gradients of the summed cross-entropy, and limits for a comparison in f32:
twenty times the difference between PyTorch's own f32 and f64, at least 2e-5 of the largest logit and
2e-5 of the gradient's norm.
"""

import sys
from pathlib import Path

import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

NAMES = [
    "resnet18",
    "resnet50",
    "wide_resnet50_2",
    "resnext50_32x4d",
    "vgg11",
    "vgg16_bn",
    "densenet121",
    "vit_b_16",
    "convnext_tiny",
    "convnext_base",
    "swin_t",
    "swin_b",
]
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def randomise(model, images):
    """Weights under which every layer matters: as constructed, norms scale by nothing, layer scales
    hide their blocks, a head is 0 and running statistics are not those of any image."""
    for name, parameter in model.named_parameters():
        if "bn3" in name:
            # Branches that add as much as they get make f32 itself differ by percents.
            nn.init.uniform_(parameter, 0.1, 0.3)
        elif "layer_scale" in name or (parameter.ndim == 1 and name.endswith("weight")):
            nn.init.uniform_(parameter, 0.5, 1.5)
        elif parameter.ndim == 1 or "token" in name or "embedding" in name:
            nn.init.normal_(parameter, std=0.3)
        elif "relative_position" in name:
            nn.init.normal_(parameter, std=1.0)
        elif "head" in name or (name.startswith("classifier") and parameter.ndim == 2):
            nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    model.train()
    with torch.no_grad():
        model((images - MEAN) / STD)
    model.eval()


def answers(model, images, labels, dtype):
    """Logits, and the gradient of the summed cross-entropy."""
    model = model.to(dtype)
    x = images.to(dtype).requires_grad_(True)
    logits = model((x - MEAN.to(dtype)) / STD.to(dtype))
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), x)
    return logits.detach(), gradient


def record(name, folder):
    torch.manual_seed(0)
    model = torchvision.models.get_model(name, weights=None)
    randomise(model, torch.rand(8, 3, 224, 224))
    model.requires_grad_(False)
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    images, labels = torch.rand(2, 3, 224, 224), torch.tensor([3, 977])
    logits, gradient = answers(model, images, labels, torch.float32)
    exact, exact_gradient = answers(model, images, labels, torch.float64)
    of_logits = (logits - exact).abs().max()
    # Of a deep ReLU network mostly units whose input is so near 0 that f32 takes the other side.
    of_gradient = (gradient - exact_gradient).norm() / exact_gradient.norm()
    limits = [max(20 * of_logits, 2e-5 * exact.abs().max()), max(20 * of_gradient, 2e-5)]
    save_file(weights, folder / f"{name}.safetensors")
    recorded = {
        "__x": images,
        "__y": labels,
        "__logits": exact,
        "__grad": exact_gradient,
        "__limits": torch.tensor(limits, dtype=torch.float64),
    }
    save_file(recorded, folder / f"{name}.recorded")
    print(f"{name}: f32 and f64 differ by {of_logits:.1e} and {of_gradient:.1e}", flush=True)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for architecture in NAMES:
        record(architecture, target)
