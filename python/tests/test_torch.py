"""Modules of PyTorch; left out where it is not installed."""

from __future__ import annotations

import pickle
import traceback

import epsball
import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn


@pytest.fixture
def module():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)).eval()


@pytest.fixture
def data(digits, module):
    x = torch.from_numpy(digits[0])
    with torch.inference_mode():
        y = module(x).argmax(1)
    return x, y


def attack(module, data, **given):
    return epsball.attack(module, *data, **({"attack": "pgd", "norm": "Linf", "eps": 0.05, "steps": 10} | given))


def test_a_module_is_attacked_as_it_is(module, data):
    x, y = data
    result = attack(module, data)
    assert isinstance(result.images, torch.Tensor) and result.images.device == x.device
    assert (result.images - x).abs().max() <= 0.05 + 1e-6
    with torch.inference_mode():
        predicted = module(result.images).argmax(1)
    np.testing.assert_array_equal(predicted.numpy() == y.numpy(), result.robust)
    assert 0 < result.robust_accuracy < 1
    # It is left as it was, with no gradients in its weights.
    assert all(weight.grad is None and weight.requires_grad for weight in module.parameters())
    assert not module.training


def test_gradients_are_those_of_the_pair(module, data):
    x, y = data

    def vjp(images):
        at = torch.from_numpy(images).requires_grad_(True)
        z = module(at)
        return z, lambda c: torch.autograd.grad(z, at, torch.from_numpy(c), retain_graph=True)

    pair = (lambda images: module(torch.from_numpy(images)).detach(), vjp)
    np.testing.assert_array_equal(attack(module, data).images, attack(pair, data).images)


@pytest.mark.parametrize(
    ("name", "norm", "eps", "short"),
    [
        ("apgd-t", "Linf", 0.05, {"n_iter": 5, "n_target_classes": 2}),
        ("fab-t", "L2", 0.5, {"n_iter": 5, "n_target_classes": 2}),
        # Its linearisation is pulled back once for each class.
        ("fab", "Linf", 0.05, {"n_iter": 5}),
        ("square", "Linf", 0.05, {"n_queries": 50}),
        ("cw-l2", "L2", 0.5, {"binary_search_steps": 2, "max_iterations": 30}),
    ],
)
def test_all_kinds_of_attack_run(module, data, name, norm, eps, short):
    result = attack(module, (data[0][:12], data[1][:12]), attack=name, norm=norm, eps=eps, steps=None, **short)
    assert result.rows["found"].any()


def test_what_is_around_the_call_does_not_matter(module, data):
    expected = attack(module, data).images
    with torch.no_grad():
        assert torch.equal(attack(module, data).images, expected)
    with torch.inference_mode():
        assert torch.equal(attack(module, data).images, expected)


def test_double_precision_and_functions(module, data):
    expected = attack(module, data).robust
    assert (attack(lambda x: module(x), data).robust == expected).all()
    # Rounding moves an image that is on the boundary.
    assert (attack(module.double(), (data[0].double(), data[1])).robust != expected).sum() <= 1


def test_modules_that_cannot_be_attacked(module, data):
    class Wrapped(nn.Module):
        def __init__(self, forward):
            super().__init__()
            self.inner, self.f = module, forward
            self.eval()

        def forward(self, x):
            return self.f(x)

    def no_grad(x):
        with torch.no_grad():
            return module(x)

    for forward, problem in [
        (no_grad, "no gradient with respect to the images"),
        (lambda x: module(x.detach()), "do not depend on the images"),
        (lambda x: module(x).softmax(1), "returns probabilities"),
        (lambda x: module(nn.functional.dropout(x, 0.3)), "other logits when asked again"),
        (lambda x: module(nn.functional.batch_norm(x, None, None, training=True)), "other images of the batch"),
        (lambda x: (module(x),), "returns tuple"),
    ]:
        with pytest.raises(epsball.ModelError, match=problem):
            attack(Wrapped(forward), data)
    with pytest.raises(epsball.ModelError, match="training mode") as caught:
        attack(module.train(), data)
    assert "eval()" in caught.value.hint
    module.eval()
    mean, std = torch.tensor(0.5), torch.tensor(0.25)
    with pytest.raises(epsball.SettingError, match="not from 0 to 1") as caught:
        attack(module, ((data[0] - mean) / std, data[1]))
    assert "Normalise" in caught.value.hint


def test_normalise(module, data):
    inside = nn.Sequential(epsball.Normalise([0.5], [0.25]), module).eval()
    x, _ = data
    torch.testing.assert_close(inside(x), module((x - 0.5) / 0.25))


def test_containers_have_no_mode(module, data):
    # Only the network was put into evaluation mode.
    whole = nn.Sequential(epsball.Normalise([0.5], [0.25]), nn.Sequential(module))
    assert whole.training and not module.training
    expected = attack(whole.eval(), data).images
    whole.training = True
    assert torch.equal(attack(whole, data).images, expected)
    # A normalisation has none either, and is pickled with the module around it.
    whole[0].train()
    assert torch.equal(attack(pickle.loads(pickle.dumps(whole)), data).images, expected)
    for part in (nn.BatchNorm2d(1), nn.Dropout(0.5), nn.ReLU()):
        with pytest.raises(epsball.ModelError, match=r"training mode \(0\)"):
            attack(nn.Sequential(part, module), data)


def test_double_precision_comes_back(module, data):
    x, y = data[0].double(), data[1]
    result = attack(module, (x, y))
    assert result.images.dtype == torch.float64 and torch.equal(result.images[result.robust], x[result.robust])
    assert attack(module, (data[0].half().clamp(0, 1), y)).images.dtype == torch.float32


def test_identities_of_modules(module):
    from epsball._models._torch import Torch

    def identity(*parts):
        return Torch(nn.Sequential(*parts)).identity()

    one = nn.Conv2d(1, 8, 3)
    # The same weights under the same names, and another function.
    assert identity(one, nn.ReLU()) == identity(one, nn.ReLU()) != identity(one, nn.GELU())
    assert identity(epsball.Normalise([0.5], [0.25])) != identity(epsball.Normalise([0.5], [0.2]))


def test_models_of_foolbox(module, data):
    foolbox = pytest.importorskip("foolbox")
    preprocessing = {"mean": [0.5], "std": [0.25], "axis": -3}
    fmodel = foolbox.PyTorchModel(module, bounds=(0, 1), preprocessing=preprocessing, device="cpu")
    call = epsball.FoolboxAttack("pgd", "Linf", steps=10)
    raw, _, success = call(fmodel, *data, epsilons=0.05)
    inside = nn.Sequential(epsball.Normalise([0.5], [0.25]), module).eval()
    assert torch.equal(raw, call(inside, *data, epsilons=0.05)[0]) and 0 < success.sum()
    with pytest.raises(epsball.SettingError, match="not in"):
        call(foolbox.PyTorchModel(module, bounds=(-1, 1), device="cpu"), *data, epsilons=0.05)


def test_an_exception_inside_a_module_comes_with_its_own_traceback(module, data):
    class Breaks(nn.Module):
        calls = 0

        def forward(self, x):
            self.calls += 1
            if self.calls > 9:
                raise RuntimeError("the third layer is on strike")
            return module(x)

    with pytest.raises(RuntimeError, match="on strike") as caught:
        attack(Breaks().eval(), data, eps=1e-4)
    assert any("Breaks" in line or "forward" in line for line in traceback.format_tb(caught.value.__traceback__))


def test_a_data_loader_is_streamed(module, data):
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data), batch_size=7)
    streamed = epsball.attack(module, loader, attack="pgd", norm="Linf", eps=0.05, steps=10)
    assert torch.equal(streamed.images, attack(module, data).images)
    dataset = epsball.attack(
        module, torch.utils.data.TensorDataset(*data), attack="pgd", norm="Linf", eps=0.05, steps=10
    )
    assert torch.equal(dataset.images, streamed.images)


def test_memory_stays_flat(module, data):
    resource = pytest.importorskip("resource")

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def stream(batches):
        x, y = data[0][:32].repeat(4, 1, 1, 1), data[1][:32].repeat(4)
        loader = ((x, y) for _ in range(batches))
        epsball.attack(module, loader, attack="fgsm", norm="Linf", eps=0.05, keep_images=False)

    stream(20)
    before = peak()
    stream(80)
    # 10,240 images; their adversarial images alone would be more.
    assert peak() - before < 8 * 1024


def test_autoattack_with_the_random_numbers_of_pytorch(module, data):
    x, y = data
    runs = []
    for _ in range(2):
        adversary = epsball.AutoAttack(
            module, "Linf", 0.05, version="custom", attacks_to_run=["apgd-ce", "square"], rng="torch", verbose=False
        )
        adversary.square.n_queries = 50
        runs.append(adversary.run_standard_evaluation(x, y, bs=20))
    assert torch.equal(*runs) and not torch.equal(runs[0], x)
    whole = epsball.attack(
        module, x, y, attack="ensemble", attacks="apgd-ce", batch_size=20, norm="Linf", eps=0.05, rng="torch"
    )
    assert whole.robust.sum() >= ((runs[0] == x).flatten(1).all(1)).sum()


def test_a_module_is_known_by_its_state(module, data, tmp_path):
    result = attack(module, data)
    result.save(tmp_path / "run", data="digits", model="mine")
    with torch.no_grad():
        module[0].weight[0, 0, 0, 0] += 1
    other = attack(module, data)
    with pytest.raises(epsball.EpsballError, match="weights or its architecture have changed"):
        other.save(tmp_path / "run", data="digits", model="mine")
    other.save(tmp_path / "run", data="digits", model="other")
    assert {one["model"]["name"] for one in epsball.leaderboard(tmp_path / "run").standings} == {"mine", "other"}


def test_certify(module, data):
    certified = epsball.certify(module, data[0][:3], data[1][:3], sigma=0.1, n=200)
    assert len(certified) == 3 and certified.certified_accuracy(0.0) > 0


def test_compile(module, data):
    pytest.importorskip("onnx")
    compiled = epsball.compile(module, data[0])
    assert compiled.difference < 1e-3
    np.testing.assert_array_equal(attack(compiled, data).robust, attack(module, data).robust)
