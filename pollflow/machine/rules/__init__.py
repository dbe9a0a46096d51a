"""What each step type does with each event: `(ctx, step, event) -> Decision`."""
