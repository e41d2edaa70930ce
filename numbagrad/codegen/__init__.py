"""From graphs to native code: loop layouts, kernel sources, programs."""
