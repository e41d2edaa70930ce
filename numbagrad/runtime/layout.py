"""Word indices of the blocks that Python writes and native code reads (see native.py).

Plain integers without imports: Numba freezes them into the code, and this module is part of the
key of whatever imports it.
"""

# The pool's state: one block a process. Each group starts on its own 64-byte line, so that
# workers that spin on one word are not disturbed by writes to another.

# Constants of the process: addresses in Python, NumPy and the C library.
NONE = 0
TRUE = 1
FALSE = 2
COUNTED = 3  # 1 if None, True and False count their references (CPython before 3.12)
SAVE_THREAD = 4
RESTORE_THREAD = 5
SET_ERROR = 6
TYPE_ERROR = 7
MESSAGE_TUPLE = 8
MESSAGE_ARRAY = 9
NO_MEMORY = 10
TUPLE_TYPE = 11
ARRAY_TYPE = 12
MALLOC = 15
FREE = 16
WORKER = 17  # entry of a worker thread
SPIN = 18  # nanoseconds a worker spins before it sleeps
MUTEX_LOCK = 19
MUTEX_UNLOCK = 20
COND_WAIT = 21
COND_BROADCAST = 22
THREAD_CREATE = 23
THREAD_DETACH = 24
SIGMASK = 25
SIG_SETMASK = 26
CLOCK = 27
CLOCK_MONOTONIC = 28
YIELD = 29
GET_CPU = 30  # sched_getcpu, or 0 where threads cannot be told to move
GET_AFFINITY = 31
SET_AFFINITY = 13

# Threads: how many may work (with the caller), how many workers live, who may launch.
LIMIT = 32
LIVE = 33
BUSY = 34
LAUNCHER = 35  # the CPU of the thread that woke the workers last, and where that one may run

# What idle workers look at.
GENERATION = 40
SLEEPERS = 41

# The current parallel step.
OPEN = 48
ACTIVE = 49
KERNEL = 50
TABLE = 51
EXTENT = 52
CHUNK = 53
NEXT = 56

MUTEX = 64  # 128 bytes each
CONDITION = 80
ALL_SIGNALS = 96
OLD_SIGNALS = 112
THREAD_ID = 128
LAUNCHER_MASK = 136  # a cpu_set_t: 128 bytes

STATE_WORDS = 152

# A program: header, then steps, table words, bindings and guards.
P_STATE = 0
P_NARGS = 1
P_STEPS = 2
P_NSTEPS = 3
P_WORDS = 4
P_NWORDS = 5
P_BINDINGS = 6
P_NBINDINGS = 7
P_GUARDS = 8  # 0, or the address of one guard an argument
P_RELEASE = 9  # 1 if the GIL is released while the steps run
PROGRAM_HEADER = 10

# A step: kernel address, byte offset of its argument words in the table, extent, grain.
STEP_WORDS = 4
# A binding: table word, argument index, byte offset added to the data pointer.
BINDING_WORDS = 3

# A matrix product's table words: C[m, n] = A[m, k] @ B[k, n] (+ C), row-major, in blocks of rows.
G_FUNCTION = 0
G_A = 1
G_B = 2
G_C = 3
G_M = 4
G_N = 5
G_K = 6
G_LDA = 7
G_LDB = 8
G_LDC = 9
G_TRANS_A = 10
G_TRANS_B = 11
G_ACCUMULATE = 12
G_BLOCK = 13
G_DIMS = 14  # dimensions of the batch; for each, the last first, follow its extent and the bytes
GEMM_WORDS = 15  # from one A, B and C to the next
