"""Parametrized, pruned and hooked modules, and what they print: programs for both libraries."""

from __future__ import annotations

import copy
from importlib import import_module

from . import outcome, program


def layer(lib, *shape):
    """A linear layer with known weights."""
    made = lib.nn.Linear(*(shape or (3, 2)))
    with lib.no_grad():
        made.weight.copy_(lib.arange(float(made.weight.numel())).view_as(made.weight) - 2.25)
        made.bias.fill_(0.5)
    return made


def names(module):
    """Of parameters and buffers."""
    return [[n for n, _ in module.named_parameters()], [n for n, _ in module.named_buffers()]]


def scaling(lib, inverse=True):
    """A parametrization by the factor 2."""

    class Double(lib.nn.Module):
        def forward(self, x):
            return x * 2

    def right_inverse(self, x):
        return x / 2

    if inverse:
        Double.right_inverse = right_inverse
    return Double()


# -- parametrizations -----------------------------------------------------------------------------


@program
def parametrized_weight(lib):
    parametrize = lib.nn.utils.parametrize
    m = layer(lib)
    before = m.weight.detach().clone()
    parametrize.register_parametrization(m, "weight", scaling(lib, inverse=False))
    m(lib.ones(1, 3)).sum().backward()
    original = m.parametrizations.weight.original
    return [
        lib.equal(m.weight, 2 * before), names(m), str(m), list(m.state_dict()), original.grad,
        parametrize.is_parametrized(m), parametrize.is_parametrized(m, "bias"),
        isinstance(m, lib.nn.Linear), parametrize.type_before_parametrizations(m).__name__,
        outcome(lambda: setattr(m, "weight", before)),
    ]  # fmt: skip


@program
def parametrized_weight_assigned(lib):
    parametrize = lib.nn.utils.parametrize
    m = layer(lib)
    for _ in range(2):
        parametrize.register_parametrization(m, "weight", scaling(lib))
    start = m.weight.detach().clone()
    m.weight = lib.ones(2, 3)
    return [start, m.weight, m.parametrizations.weight.original, len(m.parametrizations.weight)]


@program
def parametrizations_that_do_not_fit(lib):
    register = lib.nn.utils.parametrize.register_parametrization

    class Shorter(lib.nn.Module):
        def forward(self, x):
            return x[:1]

    class Wider(lib.nn.Module):
        def forward(self, x):
            return x.double()

    class Nothing(lib.nn.Module):
        def forward(self, x):
            return None

    m = layer(lib)
    found = [
        outcome(lambda bad=bad: str(register(m, "weight", bad())))
        for bad in (Shorter, Wider, Nothing)
    ]
    register(m, "weight", scaling(lib))
    found += [
        outcome(lambda bad=bad: str(register(m, "weight", bad())))
        for bad in (Shorter, Wider, Nothing)
    ]
    found.append(outcome(lambda: str(register(m, "none", scaling(lib)))))
    return [*found, names(m), register(layer(lib), "weight", Shorter(), unsafe=True).weight]


@program
def parametrization_of_two_tensors(lib):
    parametrize = lib.nn.utils.parametrize

    class Sum(lib.nn.Module):
        def forward(self, a, b):
            return a + b

        def right_inverse(self, x):
            return x / 2, x / 2

    m = layer(lib)
    parametrize.register_parametrization(m, "weight", Sum())
    kept = names(m), m.parametrizations.weight.ntensors, m.parametrizations.weight.is_tensor
    remove = parametrize.remove_parametrizations
    refused = outcome(lambda: remove(m, "weight", leave_parametrized=False))
    remove(m, "weight")
    return [*kept, refused, names(m), m.weight, outcome(lambda: remove(m, "weight"))]


@program
def parametrized_cached_copied_removed(lib):
    parametrize = lib.nn.utils.parametrize
    m = layer(lib)
    parameter = m.weight
    parametrize.register_parametrization(m, "weight", scaling(lib))
    with parametrize.cached():
        inside = m.weight is m.weight
    outside = m.weight is m.weight
    c = copy.deepcopy(m)
    with lib.no_grad():
        c.parametrizations.weight.original.zero_()
    loaded = layer(lib)
    parametrize.register_parametrization(loaded, "weight", scaling(lib))
    keys = str(loaded.load_state_dict(c.state_dict()))
    values = [m.weight, c.weight, loaded.weight]
    parametrize.remove_parametrizations(m, "weight", leave_parametrized=False)
    return [inside, outside, keys, *values, m.weight, m.weight is parameter, str(m)]


@program
def weight_norms(lib):
    found = []
    for dim in (0, 1, None):
        m = lib.nn.utils.parametrizations.weight_norm(layer(lib), dim=dim)
        m(lib.ones(1, 3)).sum().backward()
        g, v = m.parametrizations.weight.original0, m.parametrizations.weight.original1
        found += [m.weight, g, v.grad, g.grad]
    return [*found, names(m), str(m)]


@program
def weight_norm_by_hooks(lib):
    m = lib.nn.utils.weight_norm(layer(lib))
    with lib.no_grad():
        m.weight_g.mul_(2)
    before = m.weight.detach().clone()
    y = m(lib.ones(1, 3))
    again = outcome(lambda: str(lib.nn.utils.weight_norm(m)))
    named = names(m)
    lib.nn.utils.remove_weight_norm(m)
    missing = outcome(lambda: str(lib.nn.utils.remove_weight_norm(m)))
    return [before, y, again, missing, named, names(m), m.weight]


@program
def spectral_norms(lib):
    found = []
    for norm in (lib.nn.utils.spectral_norm, lib.nn.utils.parametrizations.spectral_norm):
        for made in (lambda: layer(lib), lambda: lib.nn.ConvTranspose1d(3, 2, 2)):
            m = norm(made(), n_power_iterations=40)
            y = m(lib.ones(2, 3, 3) if m.weight.ndim == 3 else lib.ones(1, 3))
            y.sum().backward()
            w = m.weight.detach()
            w = w.transpose(0, 1).flatten(1) if w.ndim == 3 else w
            largest = lib.linalg.svdvals(w)[0]
            found += [abs(largest.item() - 1) < 1e-4, names(m)]
            found.append([p.grad is not None for p in m.parameters()])
    bad = outcome(lambda: str(lib.nn.utils.spectral_norm(layer(lib), n_power_iterations=0)))
    m = lib.nn.utils.remove_spectral_norm(lib.nn.utils.spectral_norm(layer(lib)))
    return [*found, bad, names(m)]


@program
def orthogonal_maps(lib):
    found = []
    for kind in ("matrix_exp", "cayley", "householder"):
        for shape in ((3, 3), (4, 2), (2, 4)):
            for trivial in (True, False):
                m = lib.nn.utils.parametrizations.orthogonal(
                    lib.nn.Linear(*shape), "weight", kind, use_trivialization=trivial
                )
                w = m.weight if shape[1] >= shape[0] else m.weight.T
                one = lib.eye(min(shape))
                found.append(lib.allclose(w.T @ w, one, atol=1e-5))
                if trivial or kind == "householder":
                    q = lib.linalg.qr(lib.arange(16.0).reshape(4, 4).cos())[0]
                    q = q[: max(shape), : min(shape)] if max(shape) == 4 else lib.eye(3).flip(0)
                    q = q if shape[1] >= shape[0] else q.T
                    m.weight = q
                    found.append(lib.allclose(m.weight, q, atol=1e-5))
                m.weight.pow(3).sum().backward()
                found.append([p.grad is not None for p in m.parameters()])
    orthogonal = lib.nn.utils.parametrizations.orthogonal
    for bad in (("bias",), ("weight", "other"), ("none",)):
        found.append(outcome(lambda bad=bad: str(orthogonal(layer(lib), *bad))))
    return found


# -- pruning --------------------------------------------------------------------------------------


@program
def pruned_by_magnitude(lib):
    prune = import_module(f"{lib.__name__}.nn.utils.prune")
    m = layer(lib)
    prune.l1_unstructured(m, "weight", 2)
    first = m.weight_mask.clone()
    prune.l1_unstructured(m, "weight", 0.5)
    second = m.weight_mask.clone()
    m(lib.ones(1, 3)).sum().backward()
    found = [first, second, names(m), m.weight, m.weight_orig.grad, prune.is_pruned(m)]
    prune.remove(m, "weight")
    return [*found, names(m), m.weight, prune.is_pruned(m), list(m.state_dict())]


@program
def pruned_structures(lib):
    prune = import_module(f"{lib.__name__}.nn.utils.prune")
    a, b, c = layer(lib), layer(lib, 4, 4), layer(lib)
    prune.ln_structured(a, "weight", 1, 2, 0)
    prune.ln_structured(a, "weight", 0.34, 1, 1)
    prune.random_structured(b, "weight", 2, 1)
    prune.random_unstructured(b, "bias", 3)
    prune.identity(c, "bias")
    prune.custom_from_mask(c, "weight", lib.tensor([[1, 0, 1], [0, 1, 0]]))
    return [
        a.weight_mask, (b.weight_mask.sum(0) == 0).sum(), b.bias_mask.sum(), c.bias_mask, c.weight
    ]  # fmt: skip


@program
def pruned_globally_and_by_a_method_of_ones_own(lib):
    prune = import_module(f"{lib.__name__}.nn.utils.prune")
    a, b = layer(lib), layer(lib, 2, 1)
    prune.global_unstructured(
        [(a, "weight"), (b, "weight")], pruning_method=prune.L1Unstructured, amount=0.5
    )

    class EveryOther(prune.BasePruningMethod):
        PRUNING_TYPE = "unstructured"

        def compute_mask(self, t, default_mask):
            mask = default_mask.clone()
            mask.view(-1)[::2] = 0
            return mask

    c = layer(lib)
    EveryOther.apply(c, "weight")
    once = c.weight_mask.clone()
    EveryOther.apply(c, "weight")
    return [a.weight_mask, b.weight_mask, once, c.weight_mask, c.weight,
            prune.L1Unstructured(0.5).prune(lib.tensor([1.0, -4.0, 3.0, 2.0]))]  # fmt: skip


@program
def pruning_refused(lib):
    prune = import_module(f"{lib.__name__}.nn.utils.prune")
    return [
        outcome(lambda amount=amount: str(prune.l1_unstructured(layer(lib), "weight", amount)))
        for amount in (7, 1.5, -1, "all")
    ] + [
        outcome(lambda: str(prune.remove(layer(lib), "weight"))),
        outcome(lambda: str(prune.ln_structured(layer(lib), "bias", 1, 2, 0))),
        outcome(lambda: str(prune.ln_structured(layer(lib), "weight", 1, 2, 5))),
    ]


# -- state dicts and printing ---------------------------------------------------------------------


@program
def hooks_on_state_dicts(lib):
    m = lib.nn.Sequential(layer(lib), layer(lib))
    seen = []
    m[0].register_state_dict_pre_hook(lambda mod, prefix, keep: seen.append([prefix, keep]))

    def drop(module, state, prefix, metadata):
        del state[prefix + "bias"]

    m[1].register_state_dict_post_hook(drop)

    def rename(module, state, prefix, *rest):
        seen.append([prefix, rest[1]])
        state[prefix + "bias"] = state.pop(prefix + "offset")

    m[1].register_load_state_dict_pre_hook(rename)
    state = m.state_dict()
    keys = list(state)
    state["1.offset"] = lib.ones(2)
    return [keys, str(m.load_state_dict(state)), m[1].bias, seen, list(state)]


@program
def keys_that_do_not_match(lib):
    m = layer(lib)
    return [
        str(m.load_state_dict({"weight": lib.ones(2, 3), "more": lib.ones(1)}, strict=False)),
        outcome(lambda: str(m.load_state_dict({"weight": lib.ones(2, 3)}))),
        outcome(lambda: str(m.load_state_dict({"weight": lib.ones(1), "bias": lib.ones(2)}))),
        m.weight,
    ]


@program
def containers_of_parameters_printed(lib):
    p = lib.nn.Parameter(lib.zeros(2, 3))
    shown = str(lib.nn.ParameterDict({"a": p, "b": lib.zeros(1)})), str(lib.nn.ParameterList([p]))
    return [text.replace(lib.__name__ + ".", "") for text in shown]
