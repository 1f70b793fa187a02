"""What the first call of a new process compiles."""

import os
import subprocess
import sys
import textwrap

import pytest

from optlab.benchmarks.cold_start import _DATA, CALLS

_COMPILED = """
from numba.core import event

class Names(event.Listener):
    def on_start(self, event):
        pass

    def on_end(self, event):
        function = event.data["dispatcher"].py_func
        print(f"compiled {function.__module__}.{function.__qualname__}")

event.register("numba:compile", Names())
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_no_kernel_compiles_what_formats_error_messages(name, tmp_path):
    """A slice that an array is assigned to does, for two seconds; so do NumPy's partition and unique."""
    source = _COMPILED + _DATA + textwrap.dedent(CALLS[name][0])
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", source], env=environment, capture_output=True, text=True, check=True)
    compiled = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("compiled ")]
    assert [name for name in compiled if "unicode" in name] == []
    assert len(compiled) < 60
