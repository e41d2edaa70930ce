"""Threads: programs for both libraries (see `programs`)."""

from __future__ import annotations

import threading

from . import leaf, outcome, program


def run(*functions):
    """Each function in a thread of its own; what they return."""
    results = [None] * len(functions)

    def target(k):
        results[k] = outcome(functions[k])

    threads = [threading.Thread(target=target, args=(k,)) for k in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@program
def modes_of_new_threads(lib):
    def look():
        return lib.is_grad_enabled(), lib.is_inference_mode_enabled()

    found: list = [run(look)]
    with lib.no_grad():
        found.append(run(look))
    with lib.inference_mode():
        found.append(run(look))
    lib.set_grad_enabled(False)
    found.append(run(look))
    lib.set_grad_enabled(True)

    def switch():
        lib.set_grad_enabled(False)
        return look()

    found.append((run(switch), look()))
    return found


@program
def backward_from_many_threads(lib):
    x = leaf(lib, 1.0, 2.0)

    def work():
        for _ in range(50):
            (x * 2).sum().backward()

    run(*[work] * 4)
    return x.grad


@program
def backward_of_one_graph_from_two_threads(lib):
    x = leaf(lib, 1.0, 2.0)
    y = (x * x).exp().sum()
    run(*[lambda: y.backward(retain_graph=True)] * 4)
    return x.grad


@program
def shared_part_of_a_graph(lib):
    x = leaf(lib, 1.0, 2.0)
    shared = x * 2
    run(*[lambda k=k: (shared * k).sum().backward(retain_graph=True) for k in range(1, 5)])
    return x.grad


@program
def grad_from_many_threads(lib):
    x = leaf(lib, 1.0, 2.0)
    return run(*[lambda k=k: lib.autograd.grad((x**k).sum(), x) for k in range(1, 5)]), x.grad


@program
def hooks_run_in_the_calling_thread(lib):
    x = leaf(lib, 1.0)
    a = x * 2
    where = []
    a.register_hook(lambda g: where.append(threading.get_ident()))
    x.register_hook(lambda g: where.append(threading.get_ident()))
    mine = []

    def work():
        mine.append(threading.get_ident())
        a.backward()

    run(work)
    return [w == mine[0] for w in where]


@program
def modes_inside_backward_of_a_thread(lib):
    x = leaf(lib, 1.0)
    found = []
    a = x * 2
    a.register_hook(lambda g: found.append(lib.is_grad_enabled()))
    with lib.no_grad():
        run(
            lambda: a.backward(retain_graph=True),
            lambda: a.backward(retain_graph=True, create_graph=True),
        )
    return sorted(found)


@program
def saved_tensor_hooks_of_a_thread(lib):
    packed = []

    def pack(t):
        packed.append(1)
        return t

    def work():
        x = leaf(lib, 1.0)
        y = x.exp()
        return len(packed), y.requires_grad

    with lib.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        found = run(work)
    return found, len(packed)


@program
def inference_tensors_of_another_thread(lib):
    made = []

    def make():
        with lib.inference_mode():
            made.append(lib.ones(2))

    run(make)
    return made[0].is_inference(), outcome(lambda: made[0].add_(1))


@program
def versions_across_threads(lib):
    a = lib.zeros(2)

    def work():
        for _ in range(100):
            a.data  # noqa: B018
        with lib.no_grad():
            a[0].add_(1)

    run(work)
    x = leaf(lib, 1.0, 2.0)
    y = x * a
    run(lambda: a.add_(1))
    return a._version, outcome(lambda: y.sum().backward())


@program
def errors_of_a_thread(lib):
    x = leaf(lib, 1.0)
    y = x.exp().sum()

    def twice():
        y.backward()
        y.backward()

    def change():
        x.add_(1)

    return run(twice, change, lambda: lib.ones(2).backward()), x.grad


@program
def default_dtype_of_threads(lib):
    lib.set_default_dtype(lib.float64)
    try:
        return run(lambda: str(lib.ones(1).dtype).split(".")[1])
    finally:
        lib.set_default_dtype(lib.float32)
