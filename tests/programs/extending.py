"""Custom Functions as tutorials write them: programs for both libraries (see `programs`)."""

from __future__ import annotations

import numpy as np

from . import leaf, outcome, program


def linear(lib):
    class LinearFunction(lib.autograd.Function):
        @staticmethod
        def forward(input, weight, bias):
            output = input.mm(weight.t())
            if bias is not None:
                output += bias.unsqueeze(0).expand_as(output)
            return output

        @staticmethod
        def setup_context(ctx, inputs, output):
            input, weight, bias = inputs
            ctx.save_for_backward(input, weight, bias)

        @staticmethod
        def backward(ctx, grad_output):
            input, weight, bias = ctx.saved_tensors
            grad_input = grad_weight = grad_bias = None
            if ctx.needs_input_grad[0]:
                grad_input = grad_output.mm(weight)
            if ctx.needs_input_grad[1]:
                grad_weight = grad_output.t().mm(input)
            if bias is not None and ctx.needs_input_grad[2]:
                grad_bias = grad_output.sum(0)
            return grad_input, grad_weight, grad_bias

    return LinearFunction


@program
def extending_linear(lib):
    F = linear(lib)
    x = lib.arange(6.0).reshape(3, 2).requires_grad_()
    w = lib.arange(4.0).reshape(2, 2).requires_grad_()
    b = leaf(lib, 1.0, 2.0)
    y = F.apply(x, w, b)
    (y * y).sum().backward()
    frozen = F.apply(x.detach(), w, None)
    frozen.sum().backward()
    y64 = [t.detach().double().requires_grad_() for t in (x, w, b)]
    return [
        y, x.grad, w.grad, b.grad, frozen,
        lib.autograd.gradcheck(F.apply, tuple(y64)),
        lib.autograd.gradgradcheck(F.apply, tuple(y64)),
    ]  # fmt: skip


@program
def extending_linear_module(lib):
    F = linear(lib)

    class Linear(lib.nn.Module):
        def __init__(self, input_features, output_features, bias=True):
            super().__init__()
            self.weight = lib.nn.Parameter(lib.ones(output_features, input_features))
            if bias:
                self.bias = lib.nn.Parameter(lib.zeros(output_features))
            else:
                self.register_parameter("bias", None)

        def forward(self, input):
            return F.apply(input, self.weight, self.bias)

        def extra_repr(self):
            return f"{self.weight.shape[1]}, bias={self.bias is not None}"

    model = Linear(2, 1, bias=False)
    optimizer = lib.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = (model(lib.ones(4, 2)) - 1).pow(2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return losses, model.weight, repr(model)


def numpy_sort(lib, **members):
    def to_numpy(tensor):
        return tensor.cpu().numpy()

    class NumpySort(lib.autograd.Function):
        @staticmethod
        def forward(x, dim):
            x = to_numpy(x)
            ind = np.argsort(x, axis=dim)
            ind_inv = np.argsort(ind, axis=dim)
            result = np.take_along_axis(x, ind, axis=dim)
            return lib.tensor(result), lib.tensor(ind), lib.tensor(ind_inv)

        @staticmethod
        def setup_context(ctx, inputs, output):
            _, dim = inputs
            _, ind, ind_inv = output
            ctx.mark_non_differentiable(ind, ind_inv)
            ctx.save_for_backward(ind, ind_inv)
            ctx.dim = dim

        @staticmethod
        def backward(ctx, grad_output, _0, _1):
            ind, ind_inv = ctx.saved_tensors
            return NumpyTake.apply(grad_output, ind_inv, ind, ctx.dim), None

        @staticmethod
        def vmap(info, in_dims, x, dim):
            x_bdim, _ = in_dims
            x = x.movedim(x_bdim, 0)
            dim = dim if dim >= 0 else dim + x.dim() - 1
            return NumpySort.apply(x, dim + 1), (0, 0, 0)

    class NumpyTake(lib.autograd.Function):
        @staticmethod
        def forward(x, ind, ind_inv, dim):
            return lib.tensor(np.take_along_axis(to_numpy(x), to_numpy(ind), dim))

        @staticmethod
        def setup_context(ctx, inputs, output):
            _, ind, ind_inv, dim = inputs
            ctx.save_for_backward(ind, ind_inv)
            ctx.dim = dim

        @staticmethod
        def backward(ctx, grad_output):
            ind, ind_inv = ctx.saved_tensors
            return NumpyTake.apply(grad_output, ind_inv, ind, ctx.dim), None, None, None

        @staticmethod
        def vmap(info, in_dims, x, ind, ind_inv, dim):
            x_bdim, ind_bdim, ind_inv_bdim, _ = in_dims
            logical_dim = x.dim() if x_bdim is None else x_bdim - 1
            dim = dim if dim >= 0 else dim + logical_dim

            def expand(t, bdim):
                return t.expand(info.batch_size, *t.shape) if bdim is None else t.movedim(bdim, 0)

            x = expand(x, x_bdim)
            ind = expand(ind, ind_bdim)
            ind_inv = expand(ind_inv, ind_inv_bdim)
            return NumpyTake.apply(x, ind, ind_inv, dim + 1), 0

    return NumpySort


@program
def extending_numpy_sort(lib):
    F = numpy_sort(lib)
    x = lib.tensor([[3.0, 1.0, 2.0], [0.5, -1.0, 7.0]], requires_grad=True)
    values, ind, inverse = F.apply(x, 1)
    (values * lib.tensor([1.0, 10.0, 100.0])).sum().backward()
    mapped = lib.vmap(lambda x: F.apply(x, 0)[0])(x.detach())
    per_row = lib.vmap(lib.func.grad(lambda x: F.apply(x, 0)[0][0] * 3))(x.detach())
    return values, ind, inverse, x.grad, mapped, per_row


@program
def extending_cube_with_an_intermediate_output(lib):
    class NumpyCube(lib.autograd.Function):
        @staticmethod
        def forward(x):
            dx = lib.tensor(3 * x.numpy() ** 2)
            return lib.tensor(x.numpy() ** 3), dx

        @staticmethod
        def setup_context(ctx, inputs, output):
            (x,) = inputs
            _, dx = output
            ctx.save_for_backward(x, dx)
            ctx.save_for_forward(x, dx)

        @staticmethod
        def backward(ctx, grad_output, grad_dx):
            x, dx = ctx.saved_tensors
            return grad_output * dx + grad_dx * 6 * x

        @staticmethod
        def jvp(ctx, tangent):
            x, dx = ctx.saved_tensors
            return tangent * dx, tangent * 6 * x

        @staticmethod
        def vmap(info, in_dims, x):
            (x_bdim,) = in_dims
            return NumpyCube.apply(x), (x_bdim, x_bdim)

    def cube(x):
        return NumpyCube.apply(x)[0]

    x = leaf(lib, 1.0, 2.0)
    (g,) = lib.autograd.grad(cube(x).sum(), x, create_graph=True)
    (h,) = lib.autograd.grad(g.sum(), x, create_graph=True)
    y = x.detach()
    return [
        g, h, lib.func.vmap(lib.func.grad(lib.func.grad(cube)))(y),
        lib.func.jvp(cube, (y,), (y,)), lib.func.jacrev(cube)(y),
    ]  # fmt: skip


def mul_constant(lib, style):
    class Combined(lib.autograd.Function):
        @staticmethod
        def forward(ctx, tensor, constant):
            ctx.set_materialize_grads(False)
            ctx.constant = constant
            return tensor * constant

        @staticmethod
        def backward(ctx, grad_output):
            if grad_output is None:
                return None, None
            return grad_output * ctx.constant, None

    class Separate(lib.autograd.Function):
        @staticmethod
        def forward(tensor, constant):
            return tensor * constant

        @staticmethod
        def setup_context(ctx, inputs, output):
            _, constant = inputs
            ctx.constant = constant

        @staticmethod
        def backward(ctx, grad_output):
            return grad_output * ctx.constant, None

        @staticmethod
        def vmap(info, in_dims, tensor, constant):
            tensor_bdim, _ = in_dims
            return Separate.apply(tensor, constant), tensor_bdim

    return Combined if style == "combined" else Separate


@program
def extending_mul_constant(lib):
    found = []
    for style in ("combined", "separate"):
        F = mul_constant(lib, style)
        x = leaf(lib, 1.0, 2.0)
        y = F.apply(x, 5.0)
        y.sum().backward()
        found += [y, x.grad, y.grad_fn.name()]
    return found, lib.vmap(lambda x: F.apply(x, 3.0), in_dims=1, out_dims=1)(lib.ones(2, 3))


@program
def extending_exp_and_double_backward(lib):
    class Exp(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            result = lib.exp(x)
            ctx.save_for_backward(result)
            return result

        @staticmethod
        def backward(ctx, grad_out):
            (result,) = ctx.saved_tensors
            return result * grad_out

    class Sinh(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            expx, expnegx = lib.exp(x), lib.exp(-x)
            ctx.save_for_backward(expx, expnegx)
            return (expx - expnegx) / 2, expx, expnegx

        @staticmethod
        def backward(ctx, grad_out, _grad_out_exp, _grad_out_negexp):
            expx, expnegx = ctx.saved_tensors
            grad_input = grad_out * (expx + expnegx) / 2
            grad_input += _grad_out_exp * expx
            grad_input -= _grad_out_negexp * expnegx
            return grad_input

    class WrongSinh(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.expx, ctx.expnegx = lib.exp(x), lib.exp(-x)
            return (ctx.expx - ctx.expnegx) / 2

        @staticmethod
        def backward(ctx, grad_out):
            return grad_out * (ctx.expx + ctx.expnegx) / 2

    x = lib.tensor([0.5, 1.0], dtype=lib.float64, requires_grad=True)
    check = lib.autograd.gradcheck, lib.autograd.gradgradcheck
    return [
        [c(Exp.apply, x) for c in check],
        [c(lambda x: Sinh.apply(x)[0], x) for c in check],
        check[0](WrongSinh.apply, x), outcome(lambda: check[1](WrongSinh.apply, x)),
    ]  # fmt: skip


@program
def extending_relu_with_hooks_and_numpy(lib):
    class MyReLU(lib.autograd.Function):
        @staticmethod
        def forward(ctx, input):
            ctx.save_for_backward(input)
            return input.clamp(min=0)

        @staticmethod
        def backward(ctx, grad_output):
            (input,) = ctx.saved_tensors
            grad_input = grad_output.clone()
            grad_input[input < 0] = 0
            return grad_input

    relu = MyReLU.apply
    w1 = lib.tensor([[0.5, -1.0], [1.0, 2.0]], requires_grad=True)
    w2 = lib.tensor([[1.0], [-1.0]], requires_grad=True)
    x, y = lib.tensor([[1.0, 2.0], [-1.0, 0.5]]), lib.tensor([[1.0], [0.0]])
    losses = []
    for _ in range(3):
        loss = (relu(x.mm(w1)).mm(w2) - y).pow(2).sum()
        losses.append(loss.item())
        loss.backward()
        with lib.no_grad():
            w1 -= 0.01 * w1.grad
            w2 -= 0.01 * w2.grad
            w1.grad.zero_()
            w2.grad.zero_()
    return losses, w1, w2


@program
def extending_legendre(lib):
    class LegendrePolynomial3(lib.autograd.Function):
        @staticmethod
        def forward(ctx, input):
            ctx.save_for_backward(input)
            return 0.5 * (5 * input**3 - 3 * input)

        @staticmethod
        def backward(ctx, grad_output):
            (input,) = ctx.saved_tensors
            return grad_output * 1.5 * (5 * input**2 - 1)

    x = lib.linspace(-3.0, 3.0, 20)
    y = lib.sin(x)
    a, b, c, d = (lib.full((), v, requires_grad=True) for v in (0.0, -1.0, 0.0, 0.3))
    P3 = LegendrePolynomial3.apply
    loss = None
    for _ in range(5):
        loss = (a + b * P3(c + d * x) - y).pow(2).sum()
        loss.backward()
        with lib.no_grad():
            for p in (a, b, c, d):
                p -= 5e-5 * p.grad
                p.grad = None
    return loss, a, b, c, d


@program
def extending_straight_through_and_gradient_reversal(lib):
    class Round(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.round()

        @staticmethod
        def backward(ctx, g):
            return g

    class Reverse(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, alpha):
            ctx.alpha = alpha
            return x.view_as(x)

        @staticmethod
        def backward(ctx, grad_output):
            return grad_output.neg() * ctx.alpha, None

    x = leaf(lib, 1.2, 2.7)
    y = Reverse.apply(Round.apply(x), 0.5)
    (y * y).sum().backward()
    return y, x.grad


@program
def extending_fft_through_numpy(lib):
    class BadFFT(lib.autograd.Function):
        @staticmethod
        def forward(ctx, input):
            numpy_input = input.detach().numpy()
            return input.new_tensor(np.abs(np.fft.fft(numpy_input)))

        @staticmethod
        def backward(ctx, grad_output):
            numpy_go = grad_output.numpy()
            result = np.fft.ifft(numpy_go).real
            return grad_output.new_tensor(result)

    x = leaf(lib, 1.0, 2.0, 3.0, 4.0)
    y = BadFFT.apply(x)
    y.backward(lib.tensor([1.0, 2.0, 0.0, 1.0]))
    return y, x.grad


@program
def extending_inplace_and_cloned(lib):
    class Inplace(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x_npy = x.numpy()
            x_npy += 1
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g

    a = lib.tensor(1.0, requires_grad=True, dtype=lib.double).clone()
    b = a * a
    Inplace.apply(a)
    return outcome(lambda: b.backward()), a, a._version


@program
def extending_with_dictionaries_and_strings(lib):
    class Mixed(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, mode, options, callback, *rest):
            ctx.scale = options["scale"]
            ctx.n = len(rest)
            return callback(x) * ctx.scale, mode, [x.detach()]

        @staticmethod
        def backward(ctx, g, _mode, _list):
            return (g * ctx.scale, None, None, None) + (None,) * ctx.n

    x = leaf(lib, 1.0, 2.0)
    y, mode, kept = Mixed.apply(x, "mode", {"scale": 3.0}, lambda t: t + 1, 1, 2)
    y.sum().backward()
    return y, mode, kept, x.grad


@program
def extending_a_loss_with_weights(lib):
    class WeightedLoss(lib.autograd.Function):
        @staticmethod
        def forward(ctx, input, target, weight):
            diff = input - target
            ctx.save_for_backward(diff, weight)
            ctx.n = input.numel()
            return (weight * diff * diff).sum() / ctx.n

        @staticmethod
        @lib.autograd.function.once_differentiable
        def backward(ctx, g):
            diff, weight = ctx.saved_tensors
            return 2 * g * weight * diff / ctx.n, None, g * diff * diff / ctx.n

    x, w = leaf(lib, 1.0, 2.0), leaf(lib, 0.5, 2.0)
    t = lib.tensor([0.0, 0.0])
    loss = WeightedLoss.apply(x, t, w)
    (g,) = lib.autograd.grad(loss, x, create_graph=True)
    return loss, g.detach(), outcome(lambda: lib.autograd.grad(g.sum(), x))
