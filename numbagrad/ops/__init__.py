"""Operations: the registry and the declarations of all primitives and composites."""
