"""The intermediate representation: graphs of typed equations, tracing, interpreting."""
