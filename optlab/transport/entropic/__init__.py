"""Methods for entropic transport: scaling, its acceleration, and Newton steps."""
