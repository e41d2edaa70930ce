"""Modules: registration, traversal, modes, state, hooks, printing, containers, init, utils."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import numbagrad as ng
from numbagrad import nn
from tests.programs import expected, programs, run, same


@pytest.mark.parametrize("name", programs("modules"))
def test_program(name):
    assert same(run(name, ng), expected()[name])


class Net(nn.Module):
    scale: ng.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
        self.head = nn.Linear(4, 2, bias=False)
        self.register_buffer("scale", ng.ones(1))
        self.register_buffer("scratch", ng.zeros(1), persistent=False)

    def forward(self, x: ng.Tensor) -> ng.Tensor:
        return self.head(self.body(x)) * self.scale


NAMES = ["body.0.weight", "body.0.bias", "head.weight"]


def test_registration_and_traversal():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [name for name, _ in net.named_buffers()] == ["scale", "scratch"]
    assert [name for name, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "head"]
    assert [name for name, _ in net.named_children()] == ["body", "head"]
    assert list(net.parameters(recurse=False)) == []
    assert net.get_parameter("body.0.bias") is net.body[0].bias
    assert net.get_submodule("body.1") is net.body[1]
    assert net.get_buffer("scale") is net.scale
    assert "head" in dir(net)
    with pytest.raises(AttributeError, match="no attribute 'tail'"):
        _ = net.tail
    with pytest.raises(AttributeError, match=r"not an nn\.Parameter"):
        net.get_parameter("scale")


def test_shared_parameters_are_found_once():
    net = Net()
    net.tied = net.head  # type: ignore[assignment]
    assert len(list(net.parameters())) == 3
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4


def test_assignment():
    net = nn.Module()
    net.weight = nn.Parameter(ng.ones(2))
    with pytest.raises(TypeError, match="cannot assign 'Tensor' as parameter 'weight'"):
        net.weight = ng.ones(2)  # type: ignore[assignment]
    net.weight = None  # type: ignore[assignment]
    assert list(net.parameters()) == [] and net.weight is None
    net.weight = nn.Linear(1, 1)
    assert list(net._parameters) == [] and list(net._modules) == ["weight"]
    net.buffer = nn.Buffer(ng.zeros(1), persistent=False)
    assert next(iter(net.named_buffers()))[0] == "buffer" and not net.state_dict().get("buffer")
    del net.weight
    assert not hasattr(net, "weight")
    net.plain = 3
    assert net.__dict__["plain"] == 3


@pytest.mark.parametrize("name", ["", "a.b", "training"])
def test_bad_names(name):
    with pytest.raises(KeyError):
        nn.Module().register_parameter(name, None)
    with pytest.raises(KeyError):
        nn.Module().register_buffer(name, None)
    with pytest.raises(KeyError):
        nn.Module().add_module(name, None)


def test_module_without_init():
    class Forgetful(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
        Forgetful()


def test_module_without_forward():
    with pytest.raises(NotImplementedError, match='missing the required "forward"'):
        nn.Module()(1)


def test_modes():
    net = Net()
    assert net.training and net.body[0].training
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())
    with pytest.raises(ValueError, match="boolean"):
        net.train("yes")  # type: ignore[arg-type]


def test_requires_grad_and_zero_grad():
    net = Net()
    net(ng.ones(1, 3)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all(not bool(p.grad.any()) for p in net.parameters())  # type: ignore[union-attr]
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_(False)
    assert not net(ng.ones(1, 3)).requires_grad


def test_conversion_keeps_the_parameters():
    net = Net()
    before = list(net.parameters())
    net(ng.ones(1, 3)).sum().backward()
    assert net.double() is net
    assert [a is b for a, b in zip(net.parameters(), before, strict=True)] == [True] * 3
    assert {p.dtype for p in net.parameters()} == {ng.float64}
    assert {p.grad.dtype for p in net.parameters()} == {ng.float64}  # type: ignore[union-attr]
    assert net.scale.dtype is ng.float64
    assert net.to(ng.float32).head.weight.dtype is ng.float32
    assert net.to("cpu").float().half().head.weight.dtype is ng.float16
    with pytest.raises(TypeError, match="floating point"):
        net.to(ng.int64)


def test_apply():
    seen: list[str] = []
    Net().apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "ReLU", "Sequential", "Linear", "Net"]


# -- state ----------------------------------------------------------------------------------------


def test_state_dict_round_trip():
    net, other = Net(), Net()
    state = net.state_dict()
    assert list(state) == ["scale", *NAMES]
    assert not any(t.requires_grad for t in state.values())
    assert np.shares_memory(state["head.weight"].numpy(), net.head.weight.detach().numpy())
    assert str(other.load_state_dict(state)) == "<All keys matched successfully>"
    x = ng.randn(5, 3)
    assert ng.equal(net(x), other(x))
    assert not np.shares_memory(
        net.head.weight.detach().numpy(), other.head.weight.detach().numpy()
    )
    assert next(iter(net.state_dict(prefix="net.", keep_vars=True).values())) is net.scale


def test_load_state_dict_reports_everything():
    net = Net()
    state: dict[str, Any] = dict(net.state_dict())
    del state["body.0.bias"]
    state["extra"] = ng.ones(1)
    state["head.weight"] = ng.ones(3, 3)
    state["scale"] = 1.0
    with pytest.raises(RuntimeError) as error:
        net.load_state_dict(state)
    text = str(error.value)
    assert text.startswith("Error(s) in loading state_dict for Net:\n\tMissing key(s)")
    for part in (
        'Missing key(s) in state_dict: "body.0.bias". ',
        'Unexpected key(s) in state_dict: "extra". ',
        "size mismatch for head.weight: copying a param with shape numbagrad.Size([3, 3]) from "
        "checkpoint, the shape in current model is numbagrad.Size([2, 4]).",
        'While copying the parameter named "scale"',
    ):
        assert part in text
    state["head.weight"], state["scale"] = net.head.weight, net.scale
    result = net.load_state_dict(state, strict=False)
    assert result.missing_keys == ["body.0.bias"] and result.unexpected_keys == ["extra"]
    with pytest.raises(TypeError, match="dict-like"):
        net.load_state_dict([1])  # type: ignore[arg-type]


def test_load_state_dict_assign():
    net = Net()
    state = Net().double().state_dict()
    net.load_state_dict(state, assign=True)
    assert net.head.weight.dtype is ng.float64
    assert isinstance(net.head.weight, nn.Parameter) and net.head.weight.requires_grad


def test_loading_is_seen_by_saved_tensors():
    net = Net()
    loss = net(ng.ones(1, 3)).sum()
    net.load_state_dict(Net().state_dict())
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_batch_norm_state_without_counter():
    """Checkpoints of old versions have no num_batches_tracked."""
    state = nn.BatchNorm1d(3).state_dict()
    del state["num_batches_tracked"]
    nn.BatchNorm1d(3).load_state_dict(state)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_independent(duplicate):
    net = Net()
    other = duplicate(net)
    assert isinstance(other.head.weight, nn.Parameter)
    assert [n for n, _ in other.named_parameters()] == NAMES
    assert ng.equal(other.head.weight, net.head.weight)
    with ng.no_grad():
        other.head.weight.zero_()
    assert bool(net.head.weight.any())


# -- parameters -----------------------------------------------------------------------------------


def test_parameter():
    data = ng.ones(2)
    p = nn.Parameter(data)
    assert isinstance(p, ng.Tensor) and p.is_leaf and p.requires_grad
    data += 1
    assert p.tolist() == [2, 2], "it shares the storage"
    assert repr(p) == str(p) == "Parameter containing:\ntensor([2., 2.], requires_grad=True)"
    assert type(p * 2) is ng.Tensor
    assert nn.Parameter().shape == (0,)
    with pytest.raises(RuntimeError, match="floating point"):
        nn.Parameter(ng.tensor([1]))
    with pytest.raises(TypeError, match="must be a Tensor"):
        nn.Parameter([1.0])


# -- hooks ----------------------------------------------------------------------------------------


def test_hooks():
    layer = nn.Linear(2, 2)
    x = ng.ones(1, 2)
    plain = layer(x)
    calls: list[str] = []
    pre = layer.register_forward_pre_hook(lambda m, args: (args[0] * 2,))
    post = layer.register_forward_hook(lambda m, args, out: out + 1)
    layer.register_forward_hook(lambda m, args, out: calls.append("last"))
    layer.register_forward_hook(lambda m, args, out: calls.append("first"), prepend=True)
    expected = layer.forward(x * 2) + 1
    assert ng.equal(layer(x), expected)
    assert calls == ["first", "last"]
    pre.remove()
    post.remove()
    assert ng.equal(layer(x), plain)


def test_hooks_with_keywords_and_errors():
    class Add(nn.Module):
        def forward(self, x, y=0):
            if y is None:
                raise ValueError("no y")
            return x + y

    module = Add()
    seen: list[Any] = []
    module.register_forward_pre_hook(
        lambda m, args, kwargs: (args, {"y": kwargs["y"] and kwargs["y"] + 1}), with_kwargs=True
    )
    module.register_forward_hook(
        lambda m, args, kwargs, out: seen.append((kwargs, out)), with_kwargs=True, always_call=True
    )
    assert module(1, y=2) == 4
    with pytest.raises(ValueError, match="no y"):
        module(1, y=None)
    assert seen == [({"y": 3}, 4), ({"y": None}, None)]


# -- printing -------------------------------------------------------------------------------------


def test_repr():
    assert repr(Net()) == (
        "Net(\n"
        "  (body): Sequential(\n"
        "    (0): Linear(in_features=3, out_features=4, bias=True)\n"
        "    (1): ReLU()\n"
        "  )\n"
        "  (head): Linear(in_features=4, out_features=2, bias=False)\n"
        ")"
    )
    assert repr(nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh()])) == (
        "ModuleList(\n  (0-1): 2 x ReLU()\n  (2): Tanh()\n)"
    )
    conv = nn.Conv2d(2, 4, 3, padding=1, groups=2, bias=False)
    assert repr(conv) == (
        "Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), groups=2, bias=False)"
    )


# -- containers -----------------------------------------------------------------------------------


def test_sequential():
    layers = nn.Sequential(OrderedDict(a=nn.Linear(2, 3), b=nn.ReLU()))
    assert layers.a is layers[0] and layers[-1] is layers.b
    assert list(layers[:1]._modules) == ["a"]
    layers.append(nn.Tanh())
    assert len(layers) == 3 and layers(ng.ones(1, 2)).shape == (1, 3)
    del layers[1]
    assert [type(m) for m in layers] == [nn.Linear, nn.Tanh]
    layers[1] = nn.Sigmoid()
    assert isinstance(layers.pop(1), nn.Sigmoid)
    assert len(layers + layers) == 2
    with pytest.raises(IndexError):
        layers[5]


def test_module_list_and_dict():
    modules = nn.ModuleList([nn.Linear(1, 1)])
    modules.extend([nn.ReLU()]).insert(0, nn.Tanh())
    assert [type(m) for m in modules] == [nn.Tanh, nn.Linear, nn.ReLU]
    assert list(modules.state_dict()) == ["1.weight", "1.bias"]
    named = nn.ModuleDict({"a": nn.ReLU()})
    named.update([("b", nn.Tanh())])
    assert list(named) == ["a", "b"] and "a" in named and len(named) == 2
    assert isinstance(named.pop("a"), nn.ReLU) and list(named.keys()) == ["b"]


def test_parameter_list_and_dict():
    values = nn.ParameterList([nn.Parameter(ng.ones(2)), ng.zeros(3)])
    assert len(values) == 2 and all(isinstance(p, nn.Parameter) for p in values)
    assert list(values.state_dict()) == ["0", "1"] and values[-1].shape == (3,)
    named = nn.ParameterDict({"w": ng.ones(2)})
    assert named["w"].requires_grad and list(named.state_dict()) == ["w"]


# -- layers ---------------------------------------------------------------------------------------


def test_batch_norm_module():
    norm = nn.BatchNorm2d(3, momentum=None)
    batches = [ng.randn(4, 3, 2, 2) for _ in range(3)]
    for batch in batches:
        norm(batch)
    assert norm.num_batches_tracked.item() == 3  # type: ignore[union-attr]
    means = np.mean([b.numpy().mean((0, 2, 3)) for b in batches], 0)
    np.testing.assert_allclose(norm.running_mean.numpy(), means, 1e-5, 1e-6)  # type: ignore[union-attr]
    norm.eval()
    norm(batches[0])
    assert norm.num_batches_tracked.item() == 3  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="expected 4D"):
        norm(ng.ones(2, 3))


def test_multihead_attention():
    attention = nn.MultiheadAttention(8, 2, batch_first=True).double()
    x = ng.randn(2, 5, 8, dtype=ng.float64)
    mask = ng.triu(ng.ones(5, 5), 1) > 0
    output, weights = attention(x, x, x, attn_mask=mask)
    assert output.shape == (2, 5, 8)
    np.testing.assert_allclose(weights.sum(-1).detach().numpy(), 1)  # type: ignore[union-attr]
    assert not bool(weights.triu(1).any())  # type: ignore[union-attr]
    fast, none = attention(x, x, x, attn_mask=mask, need_weights=False)
    assert none is None
    np.testing.assert_allclose(fast.detach().numpy(), output.detach().numpy())
    one, _ = attention(x[0], x[0], x[0], attn_mask=mask)
    np.testing.assert_allclose(one.detach().numpy(), output[0].detach().numpy())


def test_dropout_module_follows_the_mode():
    drop = nn.Dropout(0.5)
    x = ng.ones(100)
    assert bool((drop(x) == 0).any())
    assert drop.eval()(x) is x


# -- init and utils -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fill", "std"),
    [
        (lambda t: nn.init.uniform_(t, -1, 3), 4 / 12**0.5),
        (lambda t: nn.init.normal_(t, 1, 2), 2),
        (lambda t: nn.init.xavier_uniform_(t, 2), 2 * (2 / 300) ** 0.5),
        (lambda t: nn.init.xavier_normal_(t), (2 / 300) ** 0.5),
        (lambda t: nn.init.kaiming_uniform_(t, nonlinearity="relu"), (2 / 200) ** 0.5),
        (lambda t: nn.init.kaiming_normal_(t, mode="fan_out"), (2 / 100) ** 0.5),
        (lambda t: nn.init.trunc_normal_(t), 0.8796),
    ],
)
def test_random_init(fill, std):
    ng.manual_seed(0)
    t = nn.Parameter(ng.empty(100, 200))
    assert fill(t) is t
    assert t.detach().std().item() == pytest.approx(std, rel=0.03)
    assert t.requires_grad and t.is_leaf


def test_other_init():
    t = ng.empty(3, 5, dtype=ng.float64)
    nn.init.orthogonal_(t, gain=2)
    np.testing.assert_allclose((t @ t.T).numpy(), 4 * np.eye(3), atol=1e-12)
    assert ng.equal(nn.init.eye_(ng.empty(2, 2)), ng.eye(2))
    assert nn.init.constant_(ng.empty(2), 3).tolist() == [3, 3]
    assert nn.init.zeros_(ng.empty(2)).tolist() == [0, 0]
    assert nn.init.ones_(ng.empty(2)).tolist() == [1, 1]
    x = ng.randn(1, 2, 5)
    assert ng.equal(nn.functional.conv1d(x, nn.init.dirac_(ng.empty(2, 2, 3)), padding=1), x)
    assert (nn.init.sparse_(ng.empty(10, 4), 0.3) == 0).sum(0).tolist() == [3] * 4
    with pytest.raises(ValueError, match="fewer than 2 dimensions"):
        nn.init.xavier_uniform_(ng.empty(3))
    with pytest.raises(ValueError, match="Unsupported nonlinearity"):
        nn.init.calculate_gain("cube")


def test_vector_of_parameters():
    net = Net()
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert vector.shape == (3 * 4 + 4 + 8,)
    nn.utils.vector_to_parameters(ng.arange(24.0), net.parameters())
    assert net.head.weight.flatten().tolist() == list(range(16, 24))
    assert net.head.weight.requires_grad and net.head.weight.is_leaf


def test_clip_grad():
    p, q = nn.Parameter(ng.zeros(2)), nn.Parameter(ng.zeros(1))
    p.grad, q.grad = ng.tensor([3.0, 0.0]), ng.tensor([4.0])
    assert nn.utils.clip_grad_norm_([p, q], 1.0).item() == 5
    assert p.grad.tolist() + q.grad.tolist() == pytest.approx([0.6, 0, 0.8], rel=1e-5)
    nn.utils.clip_grad_norm_(p, 10.0)
    assert p.grad.tolist() == pytest.approx([0.6, 0], rel=1e-5)
    nn.utils.clip_grad_value_([p, q], 0.7)
    assert q.grad.tolist() == pytest.approx([0.7])
    p.grad = ng.tensor([float("nan"), 1.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)


# -- softmax in two steps -------------------------------------------------------------------------


def adaptive_softmax() -> tuple[nn.AdaptiveLogSoftmaxWithLoss, ng.Tensor, ng.Tensor]:
    ng.manual_seed(0)
    module = nn.AdaptiveLogSoftmaxWithLoss(8, 20, [5, 10, 15], div_value=2.0, head_bias=True)
    return module, ng.randn(6, 8), ng.tensor([0, 4, 7, 19, 12, 11])


def test_adaptive_softmax_is_a_distribution():
    module, x, target = adaptive_softmax()
    logs = module.log_prob(x)
    assert ng.allclose(logs.exp().sum(1), ng.ones(6))
    output, loss = module(x, target)
    assert ng.allclose(output, logs.gather(1, target.unsqueeze(1)).squeeze(1), atol=1e-6)
    assert ng.allclose(loss, -output.mean())
    assert module.predict(x).tolist() == logs.argmax(1).tolist()
    assert ng.allclose(module(x[3], target[3]).output, output[3])


def test_adaptive_softmax_compiled_and_differentiated():
    module, x, target = adaptive_softmax()
    loss = module(x, target).loss
    grads = ng.autograd.grad(loss, list(module.parameters()))
    direct = -module.log_prob(x).gather(1, target.unsqueeze(1)).mean()
    for a, b in zip(grads, ng.autograd.grad(direct, list(module.parameters())), strict=True):
        assert ng.allclose(a, b, atol=1e-6)
    compiled = ng.compile(lambda x, t: module(x, t).loss)
    assert ng.allclose(compiled(x, target), loss)
    assert ng.allclose(compiled(x, target.flip(0)), module(x, target.flip(0)).loss)


def test_adaptive_softmax_errors():
    module, x, target = adaptive_softmax()
    for cutoffs in ([], [5, 5], [0, 3], [3, 20], [7, 3]):
        with pytest.raises(ValueError, match="cutoffs"):
            nn.AdaptiveLogSoftmaxWithLoss(8, 20, cutoffs)
    with pytest.raises(RuntimeError, match=r"\[0, 19\]"):
        module(x, target + 1)
    with pytest.raises(RuntimeError, match="batch dimension"):
        module(x, target[:2])
    with pytest.raises(RuntimeError, match="multi-target"):
        module(x, target[None])


# -- fusion ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    ("layer", "norm", "shape", "transpose"),
    [
        (lambda: nn.Conv2d(2, 3, 2), nn.BatchNorm2d, (4, 2, 5, 5), (False,)),
        (lambda: nn.Conv1d(2, 3, 2, bias=False), nn.BatchNorm1d, (4, 2, 5), ()),
        (lambda: nn.ConvTranspose2d(2, 3, 2), nn.BatchNorm2d, (4, 2, 5, 5), (True,)),
        (lambda: nn.Linear(2, 3), nn.BatchNorm1d, (4, 2), ()),
        (lambda: nn.Linear(2, 3, bias=False), nn.BatchNorm1d, (4, 2), ()),
    ],
)
def test_fused_normalisation(layer, norm, shape, transpose, affine):
    ng.manual_seed(0)
    first, second = layer(), norm(3, affine=affine)
    for _ in range(3):  # statistics that are not 0 and 1
        second(first(ng.randn(*shape) + 1))
    if affine:
        nn.init.uniform_(second.weight, 0.5, 2.0)
        nn.init.uniform_(second.bias)
    first.eval()
    second.eval()
    fuse = nn.utils.fuse_linear_bn_eval if len(shape) == 2 else nn.utils.fuse_conv_bn_eval
    fused = fuse(first, second, *transpose)
    x = ng.randn(*shape)
    assert ng.allclose(fused(x), second(first(x)), atol=1e-5)
    assert isinstance(fused.bias, nn.Parameter) and fused.weight is not first.weight
    with pytest.raises(AssertionError, match="eval"):
        fuse(first.train(), second)
