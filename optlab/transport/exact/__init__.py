"""The exact method: annealed scaling, a sparse linear program, pricing."""
