"""Model-written code cannot harm the host, and cannot make a wrong answer count as right."""

import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from helpers import profiles
from helpers import score as scoring
from helpers.__main__ import main
from helpers.benchmarks import humaneval, sandbox
from helpers.errors import UserError
from helpers.report import lessons

TESTS = """
def check(candidate):
    assert candidate(1) == 2
    assert candidate(41) == 42

check(plus_one)
"""
HONEST = "def plus_one(n):\n    return n + 1\n" + TESTS
KINDS = [
    kind
    for kind, tool in (("bubblewrap", "bwrap"), ("unshare", "unshare"))
    if sys.platform == "linux" and shutil.which(tool) and sandbox._run(kind, sandbox.PROBE, 10, 256).passed
]
CANARY = "SANDBOX-CANARY"


@pytest.fixture(params=["bubblewrap", "unshare"])
def isolation(request, monkeypatch):
    """Each hostile test runs under each isolation that works; at least one must, on CI."""
    if not KINDS:
        reason = "neither bubblewrap nor unshare works here: no hostile program was tried"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    if request.param not in KINDS:
        pytest.skip(f"{request.param} does not work here; tested under {KINDS}")
    monkeypatch.setattr(sandbox, "available", lambda: request.param)
    return request.param


@pytest.fixture
def home(monkeypatch):
    """A home folder with a key in it; whatever happens, it must look the same afterwards.

    Open to everyone, for it must be the sandbox that protects it, not the file's mode: as root,
    candidates run as nobody.
    """
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder, ".ssh", "id_ed25519")
        key.parent.mkdir()
        key.write_text(CANARY)
        for path, mode in ((folder, 0o777), (key.parent, 0o777), (key, 0o666)):
            os.chmod(path, mode)
        monkeypatch.setenv("HOME", folder)
        monkeypatch.setenv("OPENAI_API_KEY", CANARY)
        yield folder
        assert key.read_text() == CANARY, "the candidate changed a file of the home folder"
        assert os.listdir(folder) == [".ssh"]


@pytest.fixture
def server():
    """A server on this machine that must never hear from a candidate."""
    seen = []
    server = http.server.HTTPServer(("127.0.0.1", 0), lambda *request: seen.append(request))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
    assert not seen, "the candidate reached a server"


def score(body, timeout=2.0, tests=TESTS):
    return sandbox.run(body + tests, timeout=timeout, memory_mb=128)


# Each program carries out its attack and, where the attack comes back, answers right when it succeeded (by the
# honest function at the end). So "failed" means that the attack failed, not that the program forgot to answer.
HOSTILE = {
    "endless loop": "while True: pass",
    "endless loop inside the call": "def plus_one(n):\n    while True: pass",
    "ignores SIGTERM": """
import signal, time
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
while True: time.sleep(1)""",
    "fork bomb": """
import os
while True: os.fork()
""",
    "threads": """
import threading, time
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()""",
    "leaves a daemon": """
import os, time
if os.fork() == 0:
    os.setsid()
    while True: time.sleep(1)""",
    "starts a program": """
import subprocess
subprocess.run(["/usr/bin/env"], check=True)""",
    "memory bomb": "hoard = []\nwhile True: hoard.append(bytearray(10**7))",
    "memory bomb inside the call": "def plus_one(n): return [0] * 10**10",
    "huge output": "import os\nwhile True: os.write(1, b'x' * 10**6)",
    "huge answer": "def plus_one(n): return 'x' * 60_000_000",
    "fills the disk with one file": """
import os
with open('/tmp/big', 'wb') as file:
    for _ in range(64): file.write(bytes(10**6))""",
    "fills the disk with many files": """
for i in range(64):
    with open(f'/tmp/{i}', 'wb') as file: file.write(bytes(10**6))""",
    "writes outside its folder": """
import os
written = 0
for folder in ('/', '/usr', '/usr/bin', '/dev', '/etc', os.path.dirname(os.__file__), '/root', '/home'):
    try: open(folder + '/evil', 'w'); written += 1
    except OSError: pass
assert written""",
    "opens a socket": """
import socket
socket.create_connection(("127.0.0.1", PORT), timeout=1).send(b"hello")""",
    "asks for a name on the net": """
import socket
socket.getaddrinfo("pypi.org", 443)""",
    "reads an API key": """
import os
key = os.environ['OPENAI_API_KEY']""",
    "finds any environment": """
import os
assert set(os.environ) - {'LC_CTYPE', 'PWD'}""",
    "reads ~/.ssh": """
from pathlib import Path
key = Path(HOME, '.ssh', 'id_ed25519').read_text()""",
    "finds any home folder": """
import os
assert os.listdir('/home') if os.path.exists('/home') else os.path.exists('/root/.bashrc')""",
    "deletes the home folder": """
import shutil
shutil.rmtree(HOME)""",
    "sees other processes": """
import os
assert os.listdir('/proc')""",
    "kills its parent": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nwhile True: pass",
    "kills everything": "import os, signal\nos.kill(-1, signal.SIGKILL)\nos.kill(PYTEST, signal.SIGKILL)",
    "looks into the checker": """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
assert libc.ptrace(16, os.getppid(), 0, 0) == 0  # ATTACH""",
    "mounts": """
import ctypes
assert ctypes.CDLL(None).mount(b'tmpfs', b'/tmp', b'tmpfs', 0, None) == 0""",
    "becomes root": "import os\nos.setuid(1)\nos.chroot('/tmp')",
    "exits 0 early": "import sys\nsys.exit(0)",
    "exits 0 early, hard": "import os\nos._exit(0)",
    "exits 0 inside the call": "import os\ndef plus_one(n): os._exit(0)",
    "prints a fake success": """
import os, sys
for number in range(64):
    try: os.write(number, b'passed\\n0123456789abcdef passed\\n')
    except OSError: pass
print('passed'); sys.stdout.flush(); os._exit(0)""",
    "overwrites the test": """
import builtins, sys
def check(candidate): pass
builtins.check = check
for frame in sys._current_frames().values():
    while frame: frame.f_globals['check'] = check; frame = frame.f_back
def plus_one(n): return 0""",
    "patches assert and builtins": """
import builtins
class Never(Exception):
    def __new__(cls, *args): raise SystemExit(0)
builtins.AssertionError = Never
for name in ('all', 'len', 'abs', 'exec', 'compile', 'isinstance'):
    setattr(builtins, name, lambda *args, **kwargs: True)
def plus_one(n): return 0""",
    "jumps over the asserts": """
import sys
def skip(frame, event, arg):
    if frame.f_code.co_name == 'check': frame.f_lineno += 2
    return skip
sys.settrace(skip)
for frame in sys._current_frames().values():
    while frame: frame.f_trace = skip; frame = frame.f_back
def plus_one(n): return 0""",
    "equals everything": """
class Yes(int):
    def __eq__(self, other): return True
def plus_one(n): return Yes(0)""",
    "sends code in a pickle": """
class Evil:
    def __reduce__(self): return (eval, ("type('Yes', (int,), {'__eq__': lambda a, b: True})()",))
def plus_one(n):
    import pickle, gc
    for writer in (o for o in gc.get_objects() if type(o).__name__ == 'BufferedWriter'):
        pickle.dump(('value', Evil()), writer); pickle.dump(('value', Evil()), writer); writer.flush()
    while True: pass""",
    "hides behind a check of its own": """
def plus_one(n): return 0
def check(candidate): pass
import sys
frame = sys._getframe()
while frame:
    if 'verdict' in frame.f_locals: frame.f_locals['verdict']('passed')
    frame = frame.f_back""",
    "opens a quote to swallow the tests": 'def plus_one(n): return n + 1\ndef check(c): pass\ncheck(1)\n"""',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_program_fails_harms_nothing_and_the_next_honest_one_passes(name, isolation, home, server):
    honest = "" if "def plus_one" in HOSTILE[name] else HONEST.removesuffix(TESTS)
    body = f"HOME, PYTEST, PORT = {home!r}, {os.getpid()}, {server.server_port}\n{HOSTILE[name]}\n{honest}"
    start = time.monotonic()
    outcome = score(body, timeout=1.0)
    assert not outcome.passed and outcome.reason != "passed"
    assert len(outcome.reason) < 80 and "\n" not in outcome.reason and CANARY not in outcome.reason
    assert time.monotonic() - start < 5, "the program outlived its time"
    assert score(HONEST.removesuffix(TESTS)) == sandbox.Outcome(True, "passed")
    # `home` and `server` now assert that nobody touched them


def test_nothing_of_a_timed_out_candidate_is_left_running(isolation, monkeypatch):
    started, during = [], []

    class Popen(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            started.append(self.pid)

    def alive():  # the processes of our sandbox's session; the machine may run other sandboxes
        listed = subprocess.check_output(["ps", "-eo", "sess="], text=True)
        return listed.split().count(str(started[0]))

    watch = threading.Timer(0.6, lambda: during.append(alive()))
    watch.start()
    with monkeypatch.context() as patch:
        patch.setattr(sandbox.subprocess, "Popen", Popen)
        assert score("while True: pass\n", timeout=1.5).reason == "timed out"
    watch.join()
    assert during[0] >= 2 and alive() == 0


def test_a_child_that_a_candidate_leaves_behind_dies_with_the_sandbox(isolation, monkeypatch):
    """With the limit on processes loosened: else no candidate has a child, and the clean-up is never needed."""
    source, during, name = sandbox._source, [], f"61.{os.getpid()}"
    loose = lambda *args: source(*args).replace('("NPROC", 1)', '("NPROC", 4096)')  # noqa: E731
    monkeypatch.setattr(sandbox, "_source", loose)

    def alive():
        return subprocess.check_output(["ps", "-eo", "args="], text=True).count(f"daemon {name}")

    watch = threading.Timer(0.7, lambda: during.append(alive()))
    watch.start()
    outcome = score(
        f"""
import os, time
if os.fork() == 0:
    os.setsid()
    os.execv("/usr/bin/sleep", ["daemon", "{name}"])
def plus_one(n):
    time.sleep(0.6)
    return n + 1
"""
    )
    watch.join()
    assert outcome.passed and during == [1]
    end = time.monotonic() + 2
    while alive() and time.monotonic() < end:
        time.sleep(0.05)
    assert alive() == 0


def test_a_nested_user_namespace_is_refused(isolation):
    if isolation == "bubblewrap" and os.geteuid() == 0:
        pytest.skip("known limit, in the docstring: as root under bubblewrap")
    assert not score("""
import ctypes
assert ctypes.CDLL(None).unshare(0x10000000) == 0  # CLONE_NEWUSER
def plus_one(n): return n + 1
""").passed


@pytest.mark.parametrize(
    "body, reason",
    [
        ("def plus_one(n):\n    return n\n", "failed: AssertionError"),
        ("def plus_one(n):\n    return n / 0\n", "failed: ZeroDivisionError"),
        ("def plus_one(n):\n", "failed: IndentationError"),
        ("while True: pass\n", "timed out"),
        ("x = 'a' * 10**10\n", "memory"),
        ("import sys\nsys.exit(0)\n", "failed: SystemExit"),
        ("import os\nos._exit(0)\n", "failed: the candidate ended its process"),
    ],
)
def test_the_reason_says_in_one_line_what_went_wrong(body, reason, isolation):
    assert score(body, timeout=1.0) == sandbox.Outcome(False, reason)


@pytest.mark.parametrize(
    "body",
    [
        "print('thinking ...' * 10000)",
        "import tempfile\nf = tempfile.TemporaryFile()\nf.write(b'x' * 10**6)",
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    n: 'int'\nassert P(1).n == 1",
        "import math, re, collections, itertools, hashlib, decimal, typing\ndef check(c): return 1",
    ],
)
def test_an_honest_program_passes(body, isolation):
    indented = body.replace("\n", "\n    ")
    for program in (f"{body}\n{HONEST}", f"def plus_one(n):\n    {indented}\n    return n + 1\n{TESTS}"):
        assert sandbox.run(program, timeout=2.0, memory_mb=128) == sandbox.Outcome(True, "passed")


def test_a_counter_counts_as_the_dict_it_equals(isolation):
    tests = "\ndef check(f):\n    assert f('aab') == {'a': 2, 'b': 1}\n\ncheck(count)\n"
    assert score("from collections import Counter\ndef count(s): return Counter(s)\n", tests=tests).passed


PROBLEMS = humaneval.rows("packaged")
RIGHT_ONCE = """
_right, _calls = {name}, []
def {name}(*args):
    _calls.append(args)
    return _right(*args) if len(_calls) == 1 else None
"""


def wrong(problem):
    """Right at the first call and never again; the tests of HumanEval/34 call only once."""
    if problem["task_id"] == "HumanEval/34":
        return "    return None\n"
    return problem["canonical_solution"] + RIGHT_ONCE.format(name=problem["entry_point"])


def graded(problem, completion):
    return humaneval.correct(problem, f"```python\n{problem['prompt']}{completion}```")


def test_all_164_canonical_solutions_pass_and_a_wrong_one_each_fails(isolation):
    """Graded as a reply is; under a second isolation every 14th, for the time it takes."""
    problems = PROBLEMS if isolation == KINDS[0] else PROBLEMS[::14]
    with ThreadPoolExecutor(2) as pool:
        right = list(pool.map(graded, problems, [p["canonical_solution"] for p in problems]))
        assert [p["task_id"] for p, ok in zip(problems, right, strict=True) if not ok] == []
        fooled = pool.map(graded, problems, map(wrong, problems))
        assert [p["task_id"] for p, ok in zip(problems, fooled, strict=True) if ok] == []
    assert len(PROBLEMS) == 164


def test_without_isolation_nothing_runs_and_the_message_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox, "available", lambda: None)
    with pytest.raises(sandbox.SandboxMissing, match=r"install bubblewrap.*--unsandboxed") as missing:
        sandbox.run(f"open({str(tmp_path / 'ran')!r}, 'w')\n" + HONEST)
    assert "\n" not in str(missing.value) and not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "body, passed",
    [
        ("def plus_one(n):\n    return n + 1\n", True),
        ("def plus_one(n):\n    return n\n", False),
        ("import sys\nsys.exit(0)\n", False),
        ("while True: pass\n", False),
        ("import os\nkey = os.environ['OPENAI_API_KEY']\ndef plus_one(n): return n + 1\n", False),
    ],
)
def test_unsandboxed_still_scores_right_with_limits_and_an_empty_environment(body, passed, monkeypatch, home):
    monkeypatch.setattr(sandbox, "available", lambda: None)
    assert sandbox.run(body + TESTS, timeout=1.0, memory_mb=128, unsandboxed=True).passed is passed


# --- --unsandboxed: what a person says who has no sandbox and wants HumanEval all the same


@pytest.fixture
def no_sandbox(monkeypatch):
    monkeypatch.setattr(sandbox, "available", lambda: None)


def test_humaneval_is_left_out_where_nothing_isolates_and_the_line_says_what_would_help(no_sandbox, capsys):
    assert list(scoring.questions(profiles.get("cpu"), ["gsm8k", "humaneval"], 1)) == ["gsm8k"]
    assert "install bubblewrap" in (out := capsys.readouterr().out) and "--unsandboxed" in out


SCORE = ["score", "--model", "no-such-model", "--out", "out", "--limit", "1", "--benchmarks"]


def test_humaneval_asked_for_by_name_is_refused_before_a_model_is_loaded(no_sandbox, capsys, monkeypatch):
    monkeypatch.setattr(scoring, "local_chat", lambda *_: pytest.fail("a model was loaded"))
    assert main([*SCORE, "gsm8k,humaneval"]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and "install bubblewrap" in err and "--unsandboxed" in err


@pytest.mark.parametrize("command", ["score", "run"])
def test_unsandboxed_is_told_in_one_paragraph_and_then_humaneval_runs(command, no_sandbox, capsys, monkeypatch):
    asked = []

    def goes_on(*_, **__):  # what both commands come to, before any model
        asked.extend(scoring.questions(profiles.get("cpu"), ["humaneval"], 1))
        raise UserError("far enough")

    monkeypatch.setenv(sandbox.SAID, "")  # taken back after the test
    monkeypatch.setattr(scoring, "local_chat", goes_on)
    monkeypatch.setattr(lessons, "run_lessons", goes_on)
    assert main([*(["run"] if command == "run" else [*SCORE, "humaneval"]), "--unsandboxed"]) == 2
    paragraph, end = capsys.readouterr().err.splitlines()
    assert end == "far enough" and asked == ["humaneval"]
    for word in ("your own rights", "files", "network", "processes", "keys"):
        assert word in paragraph
    assert sandbox.run(HONEST) == sandbox.Outcome(True, "passed")
    assert not sandbox.run(HONEST.replace("n + 1", "n")).passed
    inherited = [sys.executable, "-c", "import os; print(os.environ['SPT_UNSANDBOXED'])"]
    assert subprocess.check_output(inherited, text=True) == "1\n"  # so a lesson's kernel knows


def test_unsandboxed_gives_up_no_isolation_that_works(isolation, capsys, monkeypatch, home):
    monkeypatch.setattr(scoring, "local_chat", lambda *_: pytest.fail())
    assert main(["score", "--model", "x", "--out", "out", "--benchmarks", "mmul", "--unsandboxed"]) == 2
    told, _ = capsys.readouterr().err.splitlines()
    assert told == f"--unsandboxed changes nothing here: candidates run under {isolation}"
    assert sandbox.SAID not in os.environ
    steals = f"HOME = {home!r}\n{HOSTILE['reads ~/.ssh']}\n{HONEST}"
    assert not sandbox.run(steals, timeout=1.0, unsandboxed=True).passed


def test_a_candidate_run_bare_is_not_told_so_and_starts_in_an_empty_temporary_folder(no_sandbox, monkeypatch):
    monkeypatch.setenv(sandbox.SAID, "1")
    tests = "\ndef check(f):\n    assert f() == ([], True)\n\ncheck(look)\n"
    body = """
import os
def look():
    return os.listdir("."), set(os.environ) <= {"LC_CTYPE", "PWD", "SYSTEMROOT"}
"""
    assert sandbox.run(body + tests) == sandbox.Outcome(True, "passed")


def test_no_isolation_is_reported_where_the_tools_do_not_work(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda tool: "/bin/false")
    assert sandbox.available.__wrapped__() is None


def test_a_program_without_a_check_is_refused_rather_than_passed():
    with pytest.raises(ValueError, match="def check"):
        sandbox.run("print('hello')", unsandboxed=True)
