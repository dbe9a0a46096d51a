"""What each step type does with each event: one module a type, each a few functions `(walk, step, event) -> Decision`."""
