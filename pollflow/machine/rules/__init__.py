"""The rules of each step type for each event: `(ctx, step, event) -> Decision`."""
