"""The one iteration loop: `solve` and `iterate`, what is recorded, checkpoints, the conformance checks."""
