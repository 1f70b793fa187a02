"""Runs ended at random moments by SIGKILL, SIGTERM and SIGINT, started again, and compared with undisturbed ones.

    python tests/campaigns/kills.py --points 300 --seed 0

A *case* is a function ``work(folder)`` that computes something, keeping what it has in `folder`, and returns a digest
of the answer. It is forked from one warm parent (nothing is imported twice), ended by a signal at a random moment of
its usual time, twice on average, and then left in peace: its answer must be that of a run that nobody disturbed.
After each signal no process of the case may be alive, and at the end nothing may lie in the folder but what an
undisturbed run leaves there.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
DONE, INTERRUPTED, FAILED = 0, 40, 41
SECONDS_TO_END = 30.0  # that a case and its workers have after a signal; a worker may still be importing


# ---------------------------------------------------------------------- what is run


def digest(*values):
    from optlab.core.identity import fingerprint

    return hashlib.sha256("".join(map(fingerprint, values)).encode()).hexdigest()


def solving(make, **options):
    """A run with a checkpoint, saved every few milliseconds."""

    def work(folder):
        import optlab

        problem, method = make()
        result = optlab.solve(
            problem,
            method,
            seed=3,
            progress=False,
            checkpoint=folder / "run.npz",
            checkpoint_every=0.01,
            resume=True,
            **options,
        )
        if str(result.status) == "interrupted":
            raise KeyboardInterrupt
        columns = {name: result.history[name] for name in result.history.columns if not name.endswith("time")}
        return digest(columns, result.state)

    return work


def splitting():
    from optlab.splitting import BregmanDouglasRachford
    from optlab.splitting.problems import Lasso

    rng = np.random.default_rng(0)
    return Lasso(rng.standard_normal((40, 30)), rng.standard_normal(40), 0.3), BregmanDouglasRachford()


def splitting_functions():
    from optlab.bregman import SquaredEuclidean
    from optlab.bregman.functions import L1Norm, SmoothFunction
    from optlab.splitting import AndersonDouglasRachford, CompositeProblem

    q = np.linspace(-1.0, 2.0, 12)
    smooth = SmoothFunction(
        lambda x: 0.5 * np.sum((x - q) ** 2), lambda x: x - q, lambda x: np.ones_like(x), separable=True
    )
    return CompositeProblem(L1Norm(0.1), smooth, SquaredEuclidean(), shape=12), AndersonDouglasRachford(step_size=0.02)


def transport():
    from optlab.transport import OptimalTransport, Sinkhorn

    rng = np.random.default_rng(0)
    a, b = rng.dirichlet(np.ones(60)), rng.dirichlet(np.ones(70))
    return OptimalTransport(a, b, rng.random((60, 70)), regularization=0.002), Sinkhorn()


def stochastic():
    from optlab.stochastic import NGN, LogisticRegression

    rng = np.random.default_rng(0)
    A = rng.standard_normal((200, 8))
    return LogisticRegression(A, np.sign(A[:, 0] + 0.3 * rng.standard_normal(200)), l2=0.01), NGN(0.3)


def policy():
    from optlab.policy import PolicyMirrorDescent
    from optlab.policy.environments import garnet

    return garnet(30, 4, 3, discount=0.95, seed=0), PolicyMirrorDescent(step_size=0.05)


def multiview():
    from optlab.multiview import AlternatingProcrustes, LinkedComponents

    rng = np.random.default_rng(0)
    views = [rng.standard_normal((60, 20)) for _ in range(3)]
    return LinkedComponents([view - view.mean(0) for view in views], lam=0.5, max_rank=5), AlternatingProcrustes()


def sweeping(jobs):
    def work(folder):
        from optlab.stochastic import NGN, SGD, sweep

        problem, _ = stochastic()
        table = sweep(
            problem,
            {"NGN": NGN(), "SGD": SGD},
            [0.01, 0.1, 1.0],
            seeds=2,
            max_iter=20_000,
            cache=folder / "cache",
            jobs=jobs,
        )
        for row in (folder / "cache").glob("*.json"):
            status = json.loads(row.read_text())["status"]
            assert status != "interrupted", f"poisoned: {row.name} is {status}"
        frame = table.to_frame()
        return digest({name: list(frame[name]) for name in frame.columns if not name.endswith("time")})

    return work


def estimating(folder):
    from optlab.stochastic import NGNClassifier

    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 10))
    y = X[:, 0] + rng.standard_normal(400) > 0
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may say that it has not converged
        fitted = NGNClassifier(max_iter=500, tol=0.0, random_state=0).fit(X, y)
    return digest(fitted.coef_, fitted.intercept_)


def reporting(command, *ids, jobs=1):
    def work(folder):
        from optlab.cli import app

        os.chdir(Path(__file__).parents[2])
        arguments = [command, *ids, "--scale", "smoke", "--jobs", str(jobs), "--out", str(folder / "out")]
        with open(os.devnull, "w") as silent, contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
            try:
                code = app(arguments, standalone_mode=False)
            except SystemExit as end:
                code = end.code
        if code == 130 or code == 143:
            raise KeyboardInterrupt
        records = json.loads((folder / "out" / "index.json").read_text())["records"]
        return digest(sorted((r["id"], r["status"], bool(r.get("held"))) for r in records), code or 0)

    return work


CASES: dict[str, Callable[[Path], str]] = {
    "splitting": solving(splitting, max_iter=1500),
    "splitting, functions": solving(splitting_functions, max_iter=800),
    "transport": solving(transport, max_iter=6000),
    "stochastic": solving(stochastic, max_iter=150_000),
    "policy": solving(policy, max_iter=600),
    "multiview": solving(multiview, max_iter=600, record=7),
    "sweep": sweeping(1),
    "estimator": estimating,
    "sweep, two workers": sweeping(2),
    "verify": reporting("verify", "bdrs-affine-rate", "ngn-m-averaging"),
    "reproduce": reporting("reproduce", "ngn-toys"),
    "verify, two workers": reporting("verify", "bdrs-affine-rate", "ngn-m-averaging", jobs=2),
}


# ---------------------------------------------------------------------- how it is ended and started again


def fork(case: str, folder: Path) -> int:
    """Start a case in a session of its own."""
    child = os.fork()
    if child:
        return child
    code = FAILED
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        answer = CASES[case](folder)
        (folder / "answer").write_text(answer)
        code = DONE
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BaseException as error:
        if isinstance(error, SystemExit) and error.code in (129, 143):
            code = INTERRUPTED
        with (folder / "error").open("a") as file:
            traceback.print_exc(file=file)
    finally:
        with contextlib.suppress(BaseException):  # as at the end of a program: pools of workers are closed
            threading._shutdown()
            atexit._run_exitfuncs()
        os._exit(code)


def alive(session: int) -> list[str]:
    """The processes of a session, by name."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            name, _, rest = status.read_text().rpartition(")")
            fields = rest.split()
            if int(fields[3]) == session and fields[0] not in "ZX":
                found.append(name.partition("(")[2])
    return found


@contextlib.contextmanager
def fresh_folder() -> Iterator[Path]:
    """A temporary folder, removed here alone: a `tempfile.TemporaryDirectory` would be by forked children too."""
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def litter(folder: Path) -> set[str]:
    """Names of temporary files."""
    return {path.name for path in folder.rglob(".*") if path.name != ".gitignore"}


class Campaign:
    """Counts of what happened, and the faults in words."""

    def __init__(self, seed: int, loud: bool = False) -> None:
        self.random = random.Random(seed)
        self.loud = loud
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self.answers: dict[str, str] = {}
        self.seconds: dict[str, float] = {}

    def undisturbed(self, case: str) -> None:
        """What the case answers when it is left alone, and how long it takes; twice, to be sure of the first."""
        for _ in range(2):
            with fresh_folder() as folder:
                began = time.monotonic()
                child = fork(case, folder)
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                self.seconds[case] = time.monotonic() - began
                if code != DONE:
                    raise AssertionError(f"{case} failed undisturbed: {(folder / 'error').read_text()}")
                answer = (folder / "answer").read_text()
                if self.answers.setdefault(case, answer) != answer:
                    raise AssertionError(f"{case} answers differently each time")

    def round(self, case: str, number: int) -> None:
        """End the case by signal `number` until it survives a draw, then let it finish, and compare."""
        name = signal.Signals(number).name
        with fresh_folder() as folder:
            code = None
            while code != DONE:
                left_alone = code is not None and self.random.random() < 0.33
                child = fork(case, folder)
                if not left_alone and self.send(child, number, case):
                    self.counts[f"{case}: {name}"] += 1
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                self.check_orphans(case, name, child)
                if code == FAILED:
                    words = (folder / "error").read_text().strip().splitlines()[-1]
                    self.fault(case, name, f"the run started again fails: {words}")
                    return
                self.counts[f"{case}: rounds"] += 1
            if (folder / "answer").read_text() != self.answers[case]:
                self.fault(case, name, "the answer is not that of an undisturbed run")
            if left := litter(folder):
                self.fault(case, name, f"left behind: {', '.join(sorted(left))}")

    def send(self, child: int, number: int, case: str) -> bool:
        """Wait for a random moment and send the signal; False if the case had ended before."""
        until = time.monotonic() + self.random.random() * self.seconds[case]
        while time.monotonic() < until:
            time.sleep(0.002)
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)
        deadline = time.monotonic() + SECONDS_TO_END
        while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if number != signal.SIGKILL and time.monotonic() > deadline:
                self.fault(case, signal.Signals(number).name, f"runs on {SECONDS_TO_END:g} s after the signal")
                os.killpg(child, signal.SIGKILL)
            time.sleep(0.005)
        return True

    def check_orphans(self, case: str, name: str, session: int) -> None:
        deadline = time.monotonic() + SECONDS_TO_END
        while (left := alive(session)) and time.monotonic() < deadline:
            time.sleep(0.05)
        if left:
            self.fault(case, name, f"orphans: {len(left)} of {', '.join(sorted(set(left)))}")
            with contextlib.suppress(ProcessLookupError):
                os.killpg(session, signal.SIGKILL)

    def fault(self, case: str, name: str, words: str) -> None:
        self.faults.append(f"{case} / {name}: {words}")
        if self.loud:
            print(self.faults[-1], flush=True)

    @property
    def points(self) -> int:
        """How many signals were sent."""
        return sum(count for key, count in self.counts.items() if ": SIG" in key)

    def run(self, cases: Sequence[str], points: int, signals: Sequence[int] = SIGNALS) -> None:
        """Go round the cases and the signals until so many signals have been sent."""
        for case in cases:
            self.undisturbed(case)
        turn = 0
        while self.points < points:
            for place, case in enumerate(cases):
                self.round(case, signals[(turn + place) % len(signals)])
            turn += 1
            if self.loud:
                print(f"{self.points} signals, {len(self.faults)} faults", flush=True)


def warm(cases: Sequence[str]) -> None:
    """Import and compile in the parent what the cases need."""
    import optlab

    families = {"splitting, functions": splitting_functions, **{f.__name__: f for f in (splitting, transport, policy)}}
    if {"verify", "verify, two workers", "reproduce"} & {*cases}:
        import optlab.cli
    for case in cases:
        make = {**families, "multiview": multiview}.get(case, stochastic)
        problem, method = make()
        optlab.solve(problem, method, max_iter=3, progress=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=300, help="signals to send")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--signals", nargs="*", default=[s.name for s in SIGNALS], choices=[s.name for s in SIGNALS])
    options = parser.parse_args()
    warm(options.cases)
    campaign = Campaign(options.seed, loud=True)
    campaign.run(options.cases, options.points, [signal.Signals[name] for name in options.signals])
    for key, count in sorted(campaign.counts.items()):
        print(f"{count:5d}  {key}")
    print(f"{campaign.points} signals, {len(campaign.faults)} faults")
    for words, count in Counter(campaign.faults).items():
        print(f"{count:5d}  {words}")
    return bool(campaign.faults)


if __name__ == "__main__":
    sys.exit(main())
