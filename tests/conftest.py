"""Settings for the whole test suite: figures never open a window, and interrupts that tests send arrive."""

import os
import signal

os.environ.setdefault("MPLBACKEND", "Agg")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so does a shell start what it puts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)
