"""Which functions kernels may call, without loading their code.

Code generation must know the names in a warm process too, which needs neither the code of
`vecmath` nor what makes LLVM text of it. A test keeps both equal.
"""

_NAMES = """
    acos acosh asin asinh atan atan2 atanh ceil copysign cos cosh digamma erf erfc erfinv
    exp exp2 expm1 floor fmod lgamma log log10 log1p log2 log_sigmoid maximum minimum pow
    remainder round rsqrt sigmoid sign sin sinh softplus sqrt tan tanh trunc
"""
VECMATH = frozenset(_NAMES.split())
