"""Exceptions of numbagrad. Wrong arguments raise Python's own TypeError or ValueError."""


class NumbagradError(Exception):
    """Base of the errors that numbagrad defines."""


class CacheError(NumbagradError):
    """The kernel cache directory cannot be used, or is not safe to use."""


class CompileError(NumbagradError):
    """A kernel could not be compiled or loaded."""


class GraphFreedError(RuntimeError):
    """A second backward pass through a graph whose saved values were freed by the first."""


class ModifiedError(RuntimeError):
    """A backward pass needs a value that was changed in place since it was saved."""


class LinAlgError(RuntimeError):
    """A matrix is singular, not positive definite, or an iteration did not converge."""
