"""The program runner and the thread pool, in the kernel language. Imported only to compile.

Everything they touch outside (Python's API, the C library) comes as an address in the pool's
state, so that the object code needs no symbol. `load(base, i)` is word i of a block, as
layout.py names it. The protocol of a parallel step:

- The launching thread owns BUSY. It writes the step, sets OPEN and raises GENERATION.
- A worker that sees a new GENERATION enters (ACTIVE + 1) and only then looks at OPEN. If the
  step is open it takes chunks from NEXT; it leaves with ACTIVE - 1.
- The launching thread takes chunks too. When none is left it clears OPEN and waits for
  ACTIVE == 0; a worker that comes late finds OPEN == 0 and touches nothing.

All these accesses are sequentially consistent. A thread that finds BUSY taken runs its step
alone: the chunks of a step give the same bits in any division.
"""

from numbagrad.runtime.intrinsics import (
    atomic_add,
    atomic_load,
    atomic_store,
    call0,
    call1,
    call2,
    call3,
    call4,
    call_kernel,
    compare_swap,
    keep_off,
    load,
    load32,
    monotonic,
    pause,
    store,
)
from numbagrad.runtime.layout import (
    ACTIVE,
    ALL_SIGNALS,
    ARRAY_TYPE,
    BINDING_WORDS,
    BUSY,
    CHUNK,
    CLOCK,
    CLOCK_MONOTONIC,
    COND_BROADCAST,
    COND_WAIT,
    CONDITION,
    COUNTED,
    EXTENT,
    FALSE,
    FREE,
    GENERATION,
    GET_AFFINITY,
    GET_CPU,
    KERNEL,
    LAUNCHER,
    LAUNCHER_MASK,
    LIMIT,
    LIVE,
    MALLOC,
    MESSAGE_ARRAY,
    MESSAGE_TUPLE,
    MUTEX,
    MUTEX_LOCK,
    MUTEX_UNLOCK,
    NEXT,
    NO_MEMORY,
    NONE,
    OLD_SIGNALS,
    OPEN,
    P_BINDINGS,
    P_GUARDS,
    P_NARGS,
    P_NBINDINGS,
    P_NSTEPS,
    P_NWORDS,
    P_RELEASE,
    P_STATE,
    P_STEPS,
    P_WORDS,
    RESTORE_THREAD,
    SAVE_THREAD,
    SET_AFFINITY,
    SET_ERROR,
    SIG_SETMASK,
    SIGMASK,
    SLEEPERS,
    SPIN,
    STEP_WORDS,
    TABLE,
    THREAD_CREATE,
    THREAD_DETACH,
    THREAD_ID,
    TRUE,
    TUPLE_TYPE,
    TYPE_ERROR,
    WORKER,
    YIELD,
)

_PAUSES = 16  # between two looks at the clock
_PATIENCE = 2000  # pauses before a waiting thread gives its CPU away
_CHUNKS_PER_THREAD = 4  # more even out uneven threads, fewer cost less
_ALIGN = 16  # chunk sizes are multiples: 64 bytes of float32, no two threads share a line

# PyArrayObject's fields in words after the object's header.
_DATA, _NDIM, _SHAPE, _STRIDES, _DESCR, _FLAGS = 0, 1, 2, 3, 5, 6


def _take_chunks(state):
    kernel = load(state, KERNEL)
    table = load(state, TABLE)
    extent = load(state, EXTENT)
    chunk = load(state, CHUNK)
    while True:
        lo = atomic_add(state, NEXT, chunk)
        if lo >= extent:
            return
        call_kernel(kernel, table, lo, min(lo + chunk, extent))


def _keep_off_launcher(state, before):
    """Stay off the CPU of the thread that woke this one; `before` is the one kept off so far.

    Where CPUs share no cache (as virtual machines often say of theirs) Linux wakes a thread beside
    the one that wakes it, which goes on working: the two then share that CPU for tens of
    milliseconds.
    """
    cpu = load(state, LAUNCHER)
    if load(state, GET_CPU) != 0 and cpu != before:
        keep_off(load(state, SET_AFFINITY), state + 8 * LAUNCHER_MASK, cpu)
    return cpu


def worker(state):
    """Body of a worker thread: take part in steps until there are more workers than wanted.

    It spins for a bounded time (SPIN nanoseconds) for the next step, then sleeps.
    """
    seen = atomic_load(state, GENERATION) - 1  # a step may be waiting already
    avoided = -1
    while True:
        deadline = 0
        while atomic_load(state, GENERATION) == seen:
            for _ in range(_PAUSES):
                pause()
            now = monotonic(load(state, CLOCK), load(state, CLOCK_MONOTONIC))
            if deadline == 0:
                deadline = now + load(state, SPIN)
            elif now > deadline:
                call1(load(state, MUTEX_LOCK), state + 8 * MUTEX)
                # Counted before GENERATION is read: the launching thread writes GENERATION and
                # then reads SLEEPERS, so one of the two sees the other.
                atomic_add(state, SLEEPERS, 1)
                while atomic_load(state, GENERATION) == seen:
                    call2(load(state, COND_WAIT), state + 8 * CONDITION, state + 8 * MUTEX)
                atomic_add(state, SLEEPERS, -1)
                call1(load(state, MUTEX_UNLOCK), state + 8 * MUTEX)
                avoided = _keep_off_launcher(state, avoided)
        seen = atomic_load(state, GENERATION)
        live = atomic_load(state, LIVE)
        while live > atomic_load(state, LIMIT) - 1:
            if compare_swap(state, LIVE, live, live - 1) == live:
                return 0
            live = atomic_load(state, LIVE)
        atomic_add(state, ACTIVE, 1)
        if atomic_load(state, OPEN) != 0:
            _take_chunks(state)
        atomic_add(state, ACTIVE, -1)


def wake(state):
    """Make idle workers look for a step, and whether there are too many of them."""
    atomic_add(state, GENERATION, 1)
    if atomic_load(state, SLEEPERS) > 0:
        if load(state, GET_CPU) != 0:
            call3(load(state, GET_AFFINITY), 0, 128, state + 8 * LAUNCHER_MASK)
            store(state, LAUNCHER, call0(load(state, GET_CPU)) & 0xFFFFFFFF)  # a C int
        call1(load(state, MUTEX_LOCK), state + 8 * MUTEX)
        call1(load(state, COND_BROADCAST), state + 8 * CONDITION)
        call1(load(state, MUTEX_UNLOCK), state + 8 * MUTEX)
    return 0


def _start_workers(state):
    """Create the missing workers; if the system refuses, go on with those there are."""
    setmask = load(state, SIG_SETMASK)
    # Signals stay with Python's threads: a worker inherits the mask that blocks them all.
    call3(load(state, SIGMASK), setmask, state + 8 * ALL_SIGNALS, state + 8 * OLD_SIGNALS)
    while atomic_load(state, LIVE) < load(state, LIMIT) - 1:
        atomic_add(state, LIVE, 1)
        create = load(state, THREAD_CREATE)
        failed = call4(create, state + 8 * THREAD_ID, 0, load(state, WORKER), state)
        if failed & 0xFFFFFFFF:  # a C int
            atomic_add(state, LIVE, -1)
            break
        call1(load(state, THREAD_DETACH), load(state, THREAD_ID))
    call3(load(state, SIGMASK), setmask, state + 8 * OLD_SIGNALS, 0)


def _run_step(state, kernel, table, extent, grain):
    threads = load(state, LIMIT)
    if extent <= grain or threads == 1:
        if extent > 0:
            call_kernel(kernel, table, 0, extent)
        return
    pieces = threads * _CHUNKS_PER_THREAD
    chunk = max((extent + pieces - 1) // pieces, (grain + 1) // 2)
    chunk = min(chunk, (extent + threads - 1) // threads)
    if chunk >= 4 * _ALIGN:
        chunk = (chunk + _ALIGN - 1) // _ALIGN * _ALIGN
    if chunk >= extent or compare_swap(state, BUSY, 0, 1) != 0:
        call_kernel(kernel, table, 0, extent)
        return
    if atomic_load(state, LIVE) < load(state, LIMIT) - 1:
        _start_workers(state)
    store(state, KERNEL, kernel)
    store(state, TABLE, table)
    store(state, EXTENT, extent)
    store(state, CHUNK, chunk)
    store(state, NEXT, 0)
    atomic_store(state, OPEN, 1)
    wake(state)
    _take_chunks(state)
    atomic_store(state, OPEN, 0)
    spins = 0
    while atomic_load(state, ACTIVE) != 0:
        pause()
        spins += 1
        if spins > _PATIENCE:  # a worker lost its CPU: give it ours
            call0(load(state, YIELD))
    atomic_store(state, BUSY, 0)


def _run_steps(program, table):
    state = load(program, P_STATE)
    step = load(program, P_STEPS)
    for _ in range(load(program, P_NSTEPS)):
        arguments = table + load(step, 1)
        _run_step(state, load(step, 0), arguments, load(step, 2), load(step, 3))
        step += 8 * STEP_WORDS
    call1(load(state, FREE), table)


def _private_table(program):
    """Return a copy of the program's words, one for each call that is under way, or NULL."""
    count = load(program, P_NWORDS)
    table = call1(load(load(program, P_STATE), MALLOC), 8 * count + 8)
    if table != 0:
        words = load(program, P_WORDS)
        for i in range(count):
            store(table, i, load(words, i))
    return table


def _all_arrays(args, nargs, kind, header, items):
    for i in range(nargs):  # noqa: SIM110 (Numba has no generator expressions)
        if load(load(args, items + i), header - 1) != kind:
            return False
    return True


def _guards_hold(program, args, header, items):
    """Compare dtype, flags, rank, extents and strides of each argument."""
    guard = load(program, P_GUARDS)
    for i in range(load(program, P_NARGS)):
        array = load(args, items + i) + 8 * header
        descr = load(guard, 0)
        if descr == 0:  # this argument is free
            guard += 8
            continue
        rank = load(guard, 1)
        flags = load(guard, 2)
        if load(array, _DESCR) != descr or load32(array, _NDIM) != rank:
            return False
        if load32(array, _FLAGS) & flags != flags:
            return False
        shape = load(array, _SHAPE)
        strides = load(array, _STRIDES)
        for axis in range(rank):
            if load(shape, axis) != load(guard, 3 + axis):
                return False
            if load(strides, axis) != load(guard, 3 + rank + axis):
                return False
        guard += 8 * (3 + 2 * rank)
    return True


def _owned(state, which):
    """Return None, True or False with a reference of its own."""
    instance = load(state, which)
    if load(state, COUNTED) != 0:
        store(instance, 0, load(instance, 0) + 1)
    return instance


def run_program(block, args, header, items):
    """C body of the Python functions `Program.run` and `Program.try_run` (METH_O).

    `block` is the program's ndarray, `args` the tuple of ndarrays; `header` is the size of a
    Python object's header and `items` the offset of a tuple's first item, in words.
    """
    program = load(block, header + _DATA)
    state = load(program, P_STATE)
    nargs = load(program, P_NARGS)
    if load(args, header - 1) != load(state, TUPLE_TYPE) or load(args, header) != nargs:
        call2(load(state, SET_ERROR), load(state, TYPE_ERROR), load(state, MESSAGE_TUPLE))
        return 0
    if not _all_arrays(args, nargs, load(state, ARRAY_TYPE), header, items):
        call2(load(state, SET_ERROR), load(state, TYPE_ERROR), load(state, MESSAGE_ARRAY))
        return 0
    guarded = load(program, P_GUARDS) != 0
    if guarded and not _guards_hold(program, args, header, items):
        return _owned(state, FALSE)
    table = _private_table(program)
    if table == 0:
        return call0(load(state, NO_MEMORY))
    binding = load(program, P_BINDINGS)
    for _ in range(load(program, P_NBINDINGS)):
        data = load(load(args, items + load(binding, 1)), header + _DATA)
        store(table, load(binding, 0), data + load(binding, 2))
        binding += 8 * BINDING_WORDS
    release = load(program, P_RELEASE) != 0
    thread = 0
    if release:
        thread = call0(load(state, SAVE_THREAD))
    _run_steps(program, table)
    if release:
        call1(load(state, RESTORE_THREAD), thread)
    return _owned(state, TRUE if guarded else NONE)


def run_raw(program, pointers):
    """Run a program on an array of data pointers, without looking at Python objects.

    Returns 0, or 1 if there was no memory for the table.
    """
    table = _private_table(program)
    if table == 0:
        return 1
    binding = load(program, P_BINDINGS)
    for _ in range(load(program, P_NBINDINGS)):
        store(table, load(binding, 0), load(pointers, load(binding, 1)) + load(binding, 2))
        binding += 8 * BINDING_WORDS
    _run_steps(program, table)
    return 0
