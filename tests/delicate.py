"""Run the tests marked ``delicate`` under other kernels of OpenBLAS than this processor's own: ``make delicate``.

    python tests/delicate.py Haswell SkylakeX

Sums are taken in another order under another kernel, so last digits differ; what a test asserts must not depend on
them. A kernel that is the default here, or that this processor or another BLAS cannot run, is left out, by name.
"""

import os
import subprocess
import sys

PROBE = """
import numpy, scipy.linalg, threadpoolctl
numpy.ones((64, 64)) @ numpy.ones((64, 64)), scipy.linalg.lu_factor(numpy.eye(64))
print(*sorted({i.get("architecture") or "unknown" for i in threadpoolctl.threadpool_info() if i["user_api"] == "blas"}))
"""


def architecture(kernel=None):
    """The kernels that NumPy and SciPy run on when `kernel` is asked for; empty if they cannot."""
    done = subprocess.run([sys.executable, "-c", PROBE], env=environment(kernel), capture_output=True, text=True)
    return done.stdout.split() if done.returncode == 0 else []


def environment(kernel):
    env = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    return env | {"OPENBLAS_CORETYPE": kernel} if kernel else env


def main(kernels):
    usual = architecture()
    print("BLAS kernel of this processor:", *usual)
    tests = [sys.executable, "-m", "pytest", "tests", "-m", "delicate and not slow", "-n", "auto"]
    status = 0
    for kernel in kernels:
        found = architecture(kernel)
        if found == usual:
            print(f"{kernel}: left out, {'the default here' if usual == [kernel] else 'not available here'}")
        elif found != [kernel]:
            print(f"{kernel}: left out, not available here ({' '.join(found) or 'it fails'})")
        else:
            print(f"{kernel}:", flush=True)
            status |= subprocess.run(tests, env=environment(kernel)).returncode
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
