"""Settings for the whole test suite: figures never open a window."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")
