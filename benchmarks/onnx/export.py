"""Writes a ResNet-18, a ViT-B/16 and a ConvNeXt-T of torchvision, with random weights, as safetensors and as ONNX files.

    python benchmarks/onnx/export.py FOLDER        (needs torch, torchvision, safetensors, onnx)
"""
import sys
from pathlib import Path

import torch
import torchvision
from safetensors.torch import save_file

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
torch.manual_seed(0)
for name, model in (
    ("resnet18", torchvision.models.resnet18()),
    ("vit_b_16", torchvision.models.vit_b_16()),
    ("convnext_tiny", torchvision.models.convnext_tiny()),
):
    model.eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    for key, weight in model.named_parameters():
        if key.endswith("layer_scale"):  # torchvision starts it near zero
            torch.nn.init.uniform_(weight, 0.1, 0.5)
    if hasattr(model, "heads"):  # torchvision starts it with zeros
        torch.nn.init.normal_(model.heads.head.weight, std=0.05)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / f"{name}.safetensors")
    torch.onnx.export(
        model, torch.rand(2, 3, 224, 224), folder / f"{name}.onnx", dynamo=False, opset_version=17,
        input_names=["image"], output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
    )
