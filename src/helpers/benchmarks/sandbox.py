"""Run a HumanEval candidate, which is Python that a model wrote, so that it can do no harm.

The one idea: the candidate and the tests never share a process. `run` cuts the program at its
last `def check(`. What stands before it (prompt and completion) is loaded by a *worker*. The
tests run in a *checker*, where the candidate's functions are stand-ins: a call travels to the
worker over a pipe, and only plain data comes back (None, bool, numbers, strings, bytes, lists,
tuples, sets, dicts). A candidate that exits early, prints a success, patches builtins or returns
an object that equals everything changes its own process and no verdict. The verdict carries a
random token that only the checker and this process have seen.

Both live in a sandbox (bubblewrap, or `unshare` and the mounts of `_confine`): own process tree,
no network, empty environment, system folders and the base Python read-only, no home folder, one
small tmpfs to write to. The worker may start neither processes nor threads, and its time, memory
and file size are limited. This holds for an ordinary user as for root.

What it does not stop: a flaw in the kernel; a candidate that redefines a helper which the tests
call by name (`poly` in HumanEval/32); as root under bubblewrap (used only where `unshare` fails),
memory taken through a nested user namespace until the time is up. Candidates get the standard
library only; an answer that is not plain data (a Decimal, a generator) fails.

Where no isolation works, nothing runs, unless somebody says `--unsandboxed` and has read MEANING.
That keeps the two processes, the limits, the empty environment and the temporary folder, but the
candidate then has your own rights; if it sets out to, it can also forge a verdict.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import functools
import inspect
import json
import os
import pickle
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import types
from dataclasses import dataclass

from ..errors import UserError

SCRATCH = 16 << 20  # bytes of the candidate's /tmp, and of the largest file it may write
PROBE = "def one(): return 1\ndef check(candidate): assert candidate() == 1\ncheck(one)\n"
# Not sys.executable: in a virtual environment that points at packages which are not shown inside.
PYTHON = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
SAID = "SPT_UNSANDBOXED"  # set by `--unsandboxed`: an environment variable, because a lesson's kernel inherits it
MEANING = (
    "--unsandboxed: no sandbox works on this machine, so the programs that the model writes for HumanEval will run "
    "with your own rights. They can read, change and delete your files, use the network and leave processes behind; "
    "nobody has read them before. Only their time is limited, and outside Windows their memory and the size of a "
    "file; they start in a temporary folder with an empty environment, so keys in your environment are not handed on. "
    "Do this on a machine or in a container that you can afford to lose."
)


@dataclass(frozen=True)
class Outcome:
    """`reason` is one short line: "passed", "failed: AssertionError", "timed out", "memory"."""

    passed: bool
    reason: str


class SandboxMissing(UserError):
    """No isolation works on this machine, and `unsandboxed` was not asked for."""

    def __init__(self) -> None:
        super().__init__(
            "no sandbox works here for model-written code: install bubblewrap (Linux: apt-get "
            "install bubblewrap), or pass --unsandboxed to run it with your own rights, files and "
            "network, under time and memory limits only"
        )


@functools.cache
def available() -> str | None:
    """The isolation that works here, tried once: "bubblewrap", "unshare" or None."""
    if sys.platform != "linux":
        return None
    tools = [("bubblewrap", "bwrap"), ("unshare", "unshare")]
    if os.geteuid() == 0:
        tools.reverse()  # see "What it does not stop"
    return next((kind for kind, tool in tools if shutil.which(tool) and _run(kind, PROBE, 10, 256).passed), None)


def allow_unsandboxed() -> str:
    """What `--unsandboxed` does, in this process and those it starts; returns what the user must be told.

    Where isolation works it changes nothing.
    """
    if kind := available():
        return f"--unsandboxed changes nothing here: candidates run under {kind}"
    os.environ[SAID] = "1"
    return MEANING


def permitted() -> bool:
    """Whether `run` would run a candidate: isolation works here, or the user has said `--unsandboxed`."""
    return available() is not None or os.environ.get(SAID) == "1"


def run(program: str, timeout: float = 10.0, memory_mb: int = 512, unsandboxed: bool = False) -> Outcome:
    """Score one program: prompt + completion + the problem's tests + `check(entry_point)`.

    `timeout` is wall time in seconds, for loading and testing together; `memory_mb` is address
    space. Isolation is used wherever it works, whatever `unsandboxed` says. Raises SandboxMissing
    where there is none and neither `unsandboxed` nor `allow_unsandboxed` permits to go on, ValueError
    without a top-level `def check(`.
    """
    if not (unsandboxed or permitted()):
        raise SandboxMissing
    return _run(available(), program, timeout, memory_mb)


def _run(kind: str | None, program: str, timeout: float, memory_mb: int) -> Outcome:
    # The *last* one: the tests come after the completion, which may hold a `check` of its own.
    # Cut as text, not as a syntax tree, so that an open quote cannot swallow the tests.
    candidate, cut, tests = ("\n" + program).rpartition("\ndef check(")
    if not cut:
        raise ValueError(
            "no top-level `def check(` in the program: expected prompt + completion + "
            "the problem's tests + check(entry_point)"
        )
    token = secrets.token_hex(16)
    system = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}  # Windows
    with tempfile.TemporaryDirectory(prefix="candidate-", ignore_cleanup_errors=True) as scratch:
        task = {
            "token": token,
            "candidate": candidate,
            "tests": cut + tests,
            "kind": kind,
            "root": kind and os.geteuid() == 0,
            "jail": scratch,
            "shown": _shown(),
            "limits": [timeout, memory_mb << 20, SCRATCH],
            "python": PYTHON,
            "worker": _source("contextlib, os, pickle, sys, types", _limit, _worker),
        }
        checker = _source(
            "ast, builtins, contextlib, json, os, pickle, subprocess, sys, threading", _confine, _limit, _checker
        )
        with subprocess.Popen(
            [*_launcher(kind), PYTHON, "-I", "-S", "-c", checker],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=scratch,
            env=system,
            start_new_session=True,
        ) as process:
            late = threading.Timer(timeout + 5, _kill, [process])  # the checker's timer comes first
            late.start()
            try:
                with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
                    stdin.write(json.dumps(task).encode())
                answer = process.stdout.read(200).decode(errors="replace")  # bounded, in any case
            finally:
                late.cancel()
                _kill(process)
    said, _, reason = answer.partition("\n")[0].partition(" ")
    if said != token:
        return Outcome(False, "failed: no verdict, the sandbox ended early")
    return Outcome(reason == "passed", reason)


def _kill(process: subprocess.Popen) -> None:
    """End the whole session; in a pid namespace everything else dies with its first process."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL) if os.name == "posix" else process.kill()


def _shown() -> list[str]:
    """All that exists inside, read-only; pyenv and uv keep the base Python under a home folder."""
    places = ["/usr", "/lib", "/lib64", "/nix/store", "/etc/ld.so.cache", "/dev/null"]
    prefix = os.path.realpath(sys.base_prefix)
    if not (prefix + "/").startswith("/usr/"):
        places.append(prefix)
    return [place for place in places if os.path.exists(place)]


def _launcher(kind: str | None) -> list[str]:
    if kind is None:
        return []
    # Real root must not use a user namespace: there its processes still count as root's, for whom
    # the kernel ignores the limit on processes. `_confine` makes it nobody instead.
    root = os.geteuid() == 0
    if kind == "unshare":
        return [
            shutil.which("unshare"),
            *([] if root else ["--user", "--map-root-user"]),
            "--mount",
            "--pid",
            "--net",
            "--ipc",
            "--uts",
            "--fork",
            "--kill-child",
        ]
    user = ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"] if root else ["--unshare-user", "--disable-userns"]
    mounts = []
    for place in _shown():
        mounts += ["--perms", "0755", "--dir", os.path.dirname(place)]  # else 0700, shut to nobody
        mounts += ["--dev-bind" if place == "/dev/null" else "--ro-bind", place, place]
    return [
        shutil.which("bwrap"),
        *user,
        "--unshare-pid",
        "--unshare-net",
        "--unshare-ipc",
        "--unshare-uts",
        "--as-pid-1",
        "--die-with-parent",
        *mounts,
        "--perms",
        "1777",
        "--size",
        str(SCRATCH),
        "--tmpfs",
        "/tmp",
        "--remount-ro",
        "/",
        "--chdir",
        "/tmp",
    ]


@functools.cache
def _source(imports: str, *functions) -> str:
    """The text of functions that run inside, where this package is not; the last one is called."""
    return f"import {imports}\n{''.join(map(inspect.getsource, functions))}{functions[-1].__name__}()"


# From here on: what runs inside.


def _confine(task):
    """Leave all but a few read-only folders behind, then every privilege."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)

    def call(name, *args):
        if getattr(libc, name)(*(a.encode() if isinstance(a, str) else a for a in args)) != 0:
            raise OSError(ctypes.get_errno(), name)

    if task["kind"] == "unshare":  # bubblewrap has done this part itself
        jail = task["jail"]
        call("mount", "tmpfs", jail, "tmpfs", 0, "size=1m,mode=755")
        os.mkdir(jail + "/tmp")
        for place in task["shown"]:
            os.makedirs(os.path.dirname(jail + place), exist_ok=True)
            os.mkdir(jail + place) if os.path.isdir(place) else open(jail + place, "w").close()
            call("mount", place, jail + place, None, 4096 | 16384, None)  # BIND | REC
        read_only = (ctypes.c_uint64 * 4)(1 | 2)  # RDONLY | NOSUID, on every mount so far
        call("syscall", 442, -100, jail, 0x8000, read_only, 32)  # mount_setattr: Linux 5.12
        call("mount", "tmpfs", jail + "/tmp", "tmpfs", 2 | 4, f"size={task['limits'][2]},nr_inodes=1024,mode=1777")
        # A chroot, not pivot_root: leaving it takes a capability, and none will be left; and the
        # kernel refuses a new user namespace (hence new mounts, of any size) inside a chroot.
        os.chroot(jail)
        os.chdir("/tmp")
    if task["root"]:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
    call("capset", (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())
    for option, value in ((38, 1), (4, 0), (1, 9)):  # NO_NEW_PRIVS, not DUMPABLE, PDEATHSIG
        call("prctl", option, value, 0, 0, 0)


def _limit(limits, alone):
    """Hard limits for this process; `alone`: it may start neither processes nor threads."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for name, value in [
        ("CPU", int(limits[0]) + 2),
        ("AS", limits[1]),
        ("FSIZE", limits[2]),
        ("CORE", 0),
        ("NOFILE", 64),
        *([("NPROC", 1)] if alone else []),
    ]:
        with contextlib.suppress(AttributeError, ValueError, OSError):  # macOS refuses AS
            resource.setrlimit(getattr(resource, "RLIMIT_" + name), (value, value))


def _checker():
    """Run the tests, with a stand-in for every name that the candidate should define."""
    task = json.loads(sys.stdin.buffer.read())
    if task["kind"]:
        _confine(task)
    _limit(task["limits"], alone=False)
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    worker = subprocess.Popen(
        [task["python"], "-I", "-S", "-c", task["worker"]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )

    def verdict(reason):
        os.write(answers, f"{task['token']} {reason}\n".encode())
        worker.kill()
        os._exit(0)

    class PlainData(pickle.Unpickler):
        def find_class(self, module, name):  # the one door from a pickle to code
            raise pickle.UnpicklingError("not plain data")

    def ask(message):
        pickle.dump(message, worker.stdin)
        worker.stdin.flush()
        kind, value = PlainData(worker.stdout).load()
        if kind == "value":
            return value
        known = getattr(builtins, value, None)
        if not (isinstance(known, type) and issubclass(known, Exception)):
            known = type(value[:40], (Exception,), {})
        raise known.__new__(known)

    threading.Timer(task["limits"][0], verdict, ["timed out"]).start()
    try:
        ask((task["limits"], task["candidate"]))
        names = {node.id for node in ast.walk(ast.parse(task["tests"])) if isinstance(node, ast.Name)}
        exec(
            task["tests"],
            {
                name: lambda *args, _name=name, **kwargs: ask((_name, args, kwargs))
                for name in names - set(dir(builtins))
            },
        )
    except MemoryError:
        verdict("memory")
    except (EOFError, BrokenPipeError):
        verdict("failed: the candidate ended its process")
    except BaseException as error:
        verdict(f"failed: {type(error).__name__}")
    verdict("passed")


def _worker():
    """Load the candidate, then answer calls."""
    calls, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    for stream in (0, 1, 2):  # the candidate's prints go nowhere, not into our pipe
        os.dup2(os.open(os.devnull, os.O_RDWR), stream)
    module = sys.modules["candidate"] = types.ModuleType("candidate")

    def plain(value):  # a Counter becomes a dict, a named tuple a tuple: subclasses carry code
        for kind in (bool, int, float, str, bytes):
            if isinstance(value, kind):
                return kind(value)
        for kind in (list, tuple, set, frozenset, dict):
            if isinstance(value, kind):
                return kind(map(plain, value.items() if kind is dict else value))
        if value is not None:
            raise TypeError(f"{type(value).__name__} is not plain data")

    def reply(function, *args):
        try:
            answer = "value", plain(function(*args))
        except BaseException as error:
            answer = "error", type(error).__name__
        pickle.dump(answer, replies)
        replies.flush()

    limits, source = pickle.load(calls)
    _limit(limits, alone=True)
    reply(exec, source, vars(module))
    while call := pickle.load(calls):
        reply(lambda name, args, kwargs: getattr(module, name)(*args, **kwargs), *call)
