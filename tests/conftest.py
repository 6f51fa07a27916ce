"""What all suites share: an environment that no setting of the machine leaks into, and the real data sets."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when huggingface_hub is imported: no test may ask the hub
if "PYTEST_XDIST_WORKER" in os.environ:  # one of several: a thread each, or they wait for one another
    os.environ.setdefault("OMP_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background jobs begin so; Ctrl-C is tested here
    signal.signal(signal.SIGINT, signal.default_int_handler)

REAL_DATA = Path(os.environ.get("SPT_DATA") or Path(__file__).parents[2] / "shared" / "data")
SETTINGS = ("SPT_DATA", "SPT_UNCHECKED", "SPT_UNSANDBOXED", "OPENAI_API_KEY", "OPENAI_BASE_URL")
SETTINGS += ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    """The packaged samples, no key and no proxy, whatever the caller's shell says."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def real_data(clean_environment, monkeypatch) -> Path:
    """SPT_DATA set to the real data sets; a test that needs them is skipped where they are not."""
    if not REAL_DATA.is_dir():
        pytest.skip("no real data here: set SPT_DATA, or put the data sets into ../shared/data beside the repository")
    monkeypatch.setenv("SPT_DATA", str(REAL_DATA))
    return REAL_DATA


@pytest.fixture(scope="module")
def one_thread():
    """For suites that train tiny models; see training.one_thread."""
    import training

    with training.one_thread():
        yield


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """The tiny model's folder, only to be read."""
    import tiny

    return tiny.save(tmp_path_factory.mktemp("model") / "base")
