"""What each step type does with each event: `(walk, step, event) -> Decision`."""
