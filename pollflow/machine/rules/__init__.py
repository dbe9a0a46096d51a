"""The rules of the step types, one function per event: `(ctx, step, event) -> Decision`."""
