"""Function transforms on the interpreter stack; public as :mod:`numbagrad.func`."""
