"""The hub: what is uploaded is exactly what the card says, what is refused is one line, and LIMA is read from its file."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from helpers import annotate, roles
from helpers.annotate import publish
from helpers.chat import EndpointChat, practice
from helpers.data.lima import Dialogue
from helpers.errors import UserError
from helpers.finetune import card

COMMIT = "https://huggingface.co/datasets/me/lima-role/commit/" + "1" * 40


class Hub:
    """`with Hub() as hub:` a hub at `hub.url` that takes a data set and serves `files`; `asked` lists all "METHOD /path".

    `refuse`: (status, headers) of every answer to a path that begins with `refuse_at`. `exists`: None, "public" or
    "private": what a repository of that name is already. `created` and `committed` hold what came.
    """

    def __init__(self, refuse=None, refuse_at="/", exists=None, files=None):
        self.refuse, self.refuse_at, self.exists, self.files = refuse, refuse_at, exists, files or {}
        self.asked: list[str] = []
        self.tokens: set[str | None] = set()
        self.created: list[dict] = []
        self.committed: dict[str, bytes] = {}

    def answer(self, method, path, body):
        """(status, headers, body) of a request."""
        if self.refuse and path.startswith(self.refuse_at):
            return self.refuse[0], self.refuse[1], {"error": "no"}
        if path == "/api/repos/create":
            self.created.append(json.loads(body))
            url = {"url": f"{self.url}/datasets/me/lima-role"}
            return (409 if self.exists else 200), {}, url | {"error": "You already created this dataset repo"}
        if path in ("/api/datasets/me/lima-role", "/api/models/me/lima-role"):
            visibility = self.exists or self.created[0].get("visibility", "public")
            return 200, {}, {"id": "me/lima-role", "sha": "0" * 40, "private": visibility == "private"}
        if path == "/api/validate-yaml":
            yaml.safe_load(json.loads(body)["content"].split("---\n")[1])
            return 200, {}, {"errors": [], "warnings": []}
        if path.endswith("/preupload/main"):
            modes = {"uploadMode": "regular", "shouldIgnore": False}
            return 200, {}, {"files": [{"path": f["path"]} | modes for f in json.loads(body)["files"]]}
        if path.endswith("/commit/main"):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    assert line["value"]["encoding"] == "base64"
                    self.committed[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            return 200, {}, {"commitUrl": COMMIT, "commitOid": "1" * 40, "success": True}
        if path in self.files:
            data = self.files[path]
            return 200, {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": "2" * 40}, data
        return 404, {"X-Error-Code": "EntryNotFound"}, {"error": "Entry not found"}

    def __enter__(self):
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                path = self.path.partition("?")[0]
                hub.asked.append(f"{self.command} {path}")
                hub.tokens.add(self.headers.get("Authorization"))
                status, headers, data = hub.answer(self.command, path, body)
                data = data if isinstance(data, bytes) else json.dumps(data).encode()
                self.send_response(status)
                kind = {"Content-Type": "application/json", "Content-Length": len(data)}
                for name, value in (kind | headers).items():
                    self.send_header(name, str(value))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_POST = do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


def process(tmp_path, hub_url, *command):
    """A fresh interpreter whose hub is at `hub_url`: the address is read when huggingface_hub is imported."""
    own = {"HF_ENDPOINT": hub_url, "HF_TOKEN": "hf_test", "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}
    own["PYTHONPATH"] = str(Path(publish.__file__).parents[2])
    return subprocess.run(
        [sys.executable, *command], env={**os.environ, **own}, capture_output=True, text=True, timeout=60, cwd=tmp_path
    )


def push(tmp_path, hub_url, rows, *more):
    return process(tmp_path, hub_url, "-m", "helpers", "push", "--rows", str(rows), "--repo", "me/lima-role", *more)


# --- the rows: five dialogues, one declined, one out of form, one of several turns ---------------

FIVE = [
    Dialogue(f"d{i}", "stackexchange", (f"What is {i} and “{i}”?", f"It is {i}.", "More?", "No.")[: 4 if i == 4 else 2])
    for i in range(5)
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which annotate has ended, and its rows."""
    out = tmp_path_factory.mktemp("finished")
    script = {FIVE[1].question: ["sorry"], FIVE[2].question: ["chatty"]}
    with practice.PracticeServer(script) as server:
        chat = EndpointChat("a-model", server.url)
        rows = annotate.annotate(FIVE, out, chat, packaged=False, say=lambda *_: None)
    return out / "lima_role.jsonl", rows


@pytest.fixture
def path(finished, tmp_path):
    copy = tmp_path / "lima_role.jsonl"
    copy.write_bytes(finished[0].read_bytes())
    return copy


def front_matter(card):
    _, head, text = card.split("---\n", 2)
    return yaml.safe_load(head), text


# --- the card -----------------------------------------------------------------------------------


def test_the_card_states_source_licence_and_annotator(finished):
    head, text = front_matter(publish.card(finished[1]))
    assert head["license"] == "other" and "non-commercial" in head["license_name"]
    assert head["license_link"].endswith("GAIR/lima") and head["source_datasets"] == ["GAIR/lima"]
    assert head["configs"] == [{"config_name": "default", "data_files": [{"split": "train", "path": "train.jsonl"}]}]
    assert "https://huggingface.co/datasets/GAIR/lima" in text and "non-commercial (CC BY-NC-SA" in text
    assert "Roles written by: a-model (5)." in text
    assert "arXiv 2407.08995" in text


def test_the_counts_in_the_card_are_those_of_the_rows(finished):
    rows = finished[1]
    text = publish.card(rows)
    for line in ("dialogues | 5", "of several turns | 1", "role parsed | 3", "role declined | 1", "role malformed | 1"):
        assert f"| {line} |" in text
    assert "2 rows have no role of their own" in text
    nouns = {roles.role_noun(r["role"]["role_description"]) for r in rows if r["outcome"] == "parsed"}
    for noun in nouns:
        assert f"{noun} (" in text
    text = publish.card([*rows, {**rows[0], "annotator": "somebody"}])
    assert "| dialogues | 6 |" in text and "a-model (5), somebody (1)" in text


def test_the_size_is_that_of_the_rows_and_a_role_without_a_noun_is_not_counted_as_one(finished):
    rows = finished[1]
    assert front_matter(publish.card(rows))[0]["size_categories"] == "n<1K"
    assert front_matter(publish.card(rows * 200))[0]["size_categories"] == "1K<n<10K"
    assert "None" not in publish.card([{**rows[0], "role": {**rows[0]["role"], "role_description": "a 007"}}])


# --- the dry run --------------------------------------------------------------------------------


def test_a_dry_run_writes_the_two_files_and_asks_the_hub_nothing(path, tmp_path, finished):
    with Hub() as hub:
        done = push(tmp_path, hub.url, path, "--dry-run")
        assert hub.asked == []
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("dry run: me/lima-role would get 5 rows, 0.0 MB, private; read hub/README.md")
    assert sorted(p.name for p in (tmp_path / "hub").iterdir()) == ["README.md", "train.jsonl"]
    assert (tmp_path / "hub" / "README.md").read_text(encoding="utf-8") == publish.card(finished[1])
    lines = (tmp_path / "hub" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == finished[1]


def test_what_is_uploaded_can_be_loaded_with_datasets_and_a_second_dry_run_is_about_the_rows_of_today(path, finished):
    from datasets import load_dataset

    said = []
    for n in (5, 3):
        path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:n]), encoding="utf-8")
        folder = publish.push_to_hub(path, "me/lima-role", dry_run=True, say=said.append)
        loaded = load_dataset(str(folder), split="train", cache_dir=str(folder.parent / f"cache{n}"))
        assert loaded.to_list() == finished[1][:n] and f"{n} rows" in said[-1]


def test_a_file_of_your_own_in_hub_is_neither_removed_nor_uploaded(path, tmp_path, here):
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "notes.txt").write_text("mine")
    with Hub() as hub:
        here(hub)
        publish.push_to_hub(path, "me/lima-role", say=lambda *_: None)
    assert (tmp_path / "hub" / "notes.txt").read_text() == "mine"
    assert sorted(hub.committed) == ["README.md", "train.jsonl"]


# --- what is refused before anything is written -------------------------------------------------


def refused(path, repo="me/lima-role", **settings) -> str:
    with pytest.raises(UserError) as error:
        publish.push_to_hub(path, repo, say=lambda *_: None, **settings)
    assert "\n" not in str(error.value) and str(path.parent) not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("repo", ["lima-role", "a/b/c", "", "me/", "/x", "me/li ma", "me/x--y", "https://hub/me/x"])
def test_a_name_that_the_hub_would_refuse_is_one_line(path, repo):
    assert refused(path, repo, dry_run=True) == f"{repo!r} is no name for the hub: write user/name"
    assert not (path.parent / "hub").exists()


@pytest.mark.parametrize("role", [{}, {"role": None}, {"role": {"text": ""}}, {"role": "a"}])
def test_a_row_without_a_role_is_named_and_nothing_is_written(path, role):
    lines = path.read_text(encoding="utf-8").splitlines()
    row = {k: v for k, v in json.loads(lines[2]).items() if k != "role"} | role
    path.write_text("\n".join([*lines[:2], json.dumps(row), *lines[3:]]) + "\n", encoding="utf-8")
    why = "a role without question_description or role_description" if role.get("role") else "no role"
    line = refused(path, dry_run=True)
    assert line.startswith(f"lima_role.jsonl, line 3: {why}; ") and "annotate" in line
    assert not (path.parent / "hub").exists()


def test_an_empty_or_missing_file_is_one_line(path):
    path.write_text("")
    assert refused(path, dry_run=True) == "lima_role.jsonl has no rows: run annotate first"
    path.unlink()
    assert "missing data file" in refused(path, dry_run=True)


# --- the upload ---------------------------------------------------------------------------------


@pytest.fixture
def here(monkeypatch):
    """Point this process's huggingface_hub to a hub."""

    def here(hub):
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_test")

    return here


def test_the_hub_receives_the_card_and_the_rows_in_a_private_data_set(path, tmp_path):
    with Hub() as hub:
        done = push(tmp_path, hub.url, path)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["uploaded me/lima-role: 5 rows, 0.0 MB, private"])
    (created,) = hub.created
    assert (created["name"], created["organization"], created["type"]) == ("lima-role", "me", "dataset")
    assert created["visibility"] == "private"
    folder = tmp_path / "hub"
    assert hub.committed == {name: (folder / name).read_bytes() for name in ("README.md", "train.jsonl")}
    assert hub.tokens - {None} == {"Bearer hf_test"} and "hf_test" not in done.stdout + done.stderr


@pytest.mark.parametrize("private, word", [(True, "private"), (False, "public")])
def test_only_the_option_public_makes_it_public_and_a_data_set_that_exists_is_updated(path, here, private, word):
    for exists in (None, word):
        with Hub(exists=exists) as hub:
            here(hub)
            said = []
            publish.push_to_hub(path, "me/lima-role", private=private, say=said.append)
        assert hub.created[0]["visibility"] == word and sorted(hub.committed) == ["README.md", "train.jsonl"]
        assert said == [f"uploaded me/lima-role: 5 rows, 0.0 MB, {'private' if private else 'PUBLIC'}"]


LOGIN = "run `hf auth login` with a token that may write, and check the name"
REFUSED = [
    ({"exists": "public"}, "me/lima-role exists and is public: make it private in its settings, or take another name"),
    ({"refuse": (503, {})}, "the hub answers 503: run again later"),
]
for at in ("/", "/api/datasets/me/lima-role/commit"):
    REFUSED += [
        ({"refuse": (n, {}), "refuse_at": at}, f"the hub refused me/lima-role ({n}): {LOGIN}") for n in (401, 403)
    ]


@pytest.mark.parametrize("trouble, line", [*REFUSED, (None, "could not reach the hub (ConnectError): run again later")])
def test_a_refused_upload_is_one_line_and_the_files_wait(path, here, trouble, line):
    with Hub(**(trouble or {})) as hub:
        here(hub)
        said = refused(path) if trouble else None
    assert (said or refused(path)) == f"{line}; the files wait in hub/" and hub.committed == {}
    assert sorted(p.name for p in (path.parent / "hub").iterdir()) == ["README.md", "train.jsonl"]


# --- LIMA from the hub --------------------------------------------------------------------------

READ = "from helpers.data import lima; print([(d.id, d.question, d.turns[1]) for d in lima.dialogues('hub')])"
CAUGHT = f"""
import time
time.sleep = lambda seconds: None  # huggingface_hub tries five times, 23 seconds in all
from helpers.errors import UserError
try:
    {READ}
except UserError as error:
    print(error)
"""
FILE = "/datasets/GAIR/lima/resolve/main/train.jsonl"


def read_lima(tmp_path, url):
    done = process(tmp_path, url, "-c", CAUGHT)
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) == 1
    return done.stdout.strip()


NOT_YOURS = "Access to dataset GAIR/lima is restricted"
GATED = {
    "no licence": (403, {"X-Error-Code": "GatedRepo", "X-Error-Message": NOT_YOURS}),
    "no token": (401, {"X-Error-Code": "GatedRepo", "X-Error-Message": NOT_YOURS}),
    "hidden": (401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}),
    "a wrong token": (401, {"X-Error-Message": "Invalid credentials in Authorization header"}),
}


@pytest.mark.parametrize("refusal", GATED.values(), ids=GATED)
def test_a_gated_lima_is_one_line_with_the_three_steps(tmp_path, refusal):
    with Hub(refusal) as hub:
        line = read_lima(tmp_path, hub.url)
    assert line.startswith("GAIR/lima is gated: (1) open its page") and "SPT_DATA" in line
    assert all(step in line for step in ("accept the licence", "(2) make a read token", "(3) run `hf auth login`"))


def test_an_unreachable_hub_for_lima_is_one_line(tmp_path):
    with Hub() as hub:
        pass
    line = read_lima(tmp_path, hub.url)
    assert line.startswith("could not reach the hub for GAIR/lima: check the network") and "SPT_DATA" in line


def test_lima_is_read_from_its_file_and_its_loading_script_is_never_asked_for(tmp_path):
    rows = [{"conversations": ["A question?", "An answer."], "source": "stackexchange"}] * 2
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    with Hub(files={FILE: data, FILE.replace("train.jsonl", "lima.py"): b"raise SystemExit('ran')"}) as hub:
        said = read_lima(tmp_path, hub.url)
    assert said == "[('0000', 'A question?', 'An answer.'), ('0001', 'A question?', 'An answer.')]"
    assert {asked for asked in hub.asked if "lima" in asked} == {f"HEAD {FILE}", f"GET {FILE}"}


# --- a tuned model --------------------------------------------------------------------------------

MANIFEST = {
    "arm": "role",
    "seed": 1,
    "profile": {
        "model": "/srv/models/Some-Model",
        "lora": None,
        "batch_size": 2,
        "learning_rate": 1e-4,
        "weight_decay": 0.1,
        "attention_dropout": 0.25,
    },
    "data": "ab" * 32,
    "dialogues_seen": 48,
    "steps": 24,
    "precision": "fp32",
    "tokens": 12_345,
    "trained_tokens": 9_876,
    "losses": [3.0, 2.5],
    "commit": "abc",
}


@pytest.fixture
def tuned(tmp_path):
    """A folder as finetune leaves it, with weights of four bytes."""
    folder = tmp_path / "role-seed1"
    (folder / "runs").mkdir(parents=True)
    (folder / "runs" / "events").write_text("a log")
    (folder / "model.safetensors").write_bytes(b"1234")
    (folder / "training_args.bin").write_bytes(b"a pickle")
    (folder / "config.json").write_text("{}")
    (folder / "manifest.json").write_text(json.dumps(MANIFEST))
    (folder / "README.md").write_text(card.model_card(MANIFEST))
    return folder


def test_a_models_card_states_its_recipe_and_no_path(tuned):
    card = (tuned / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["library_name"] == "transformers"
    for fact in ("Some-Model", "role, 1", "12,345 (9,876)", "2.500", "abababababab", "fp32"):
        assert fact in card
    assert "/srv" not in card


def test_a_model_is_uploaded_without_pickles_and_logs_and_a_dry_run_asks_the_hub_nothing(tuned, tmp_path):
    command = ["-m", "helpers", "push", "--model", str(tuned), "--repo", "me/lima-role"]
    with Hub() as hub:
        dry = process(tmp_path, hub.url, *command, "--dry-run")
        assert dry.returncode == 0 and hub.asked == [], dry.stderr
        assert all(fact in dry.stdout for fact in ("4 files", "model.safetensors", "private"))
        done = process(tmp_path, hub.url, *command)
    assert done.returncode == 0, done.stderr
    assert sorted(hub.committed) == ["README.md", "config.json", "manifest.json", "model.safetensors"]
    assert hub.committed["model.safetensors"] == b"1234" and hub.created[0]["visibility"] == "private"


def test_a_folder_without_a_finished_model_is_refused(tuned):
    (tuned / "manifest.json").unlink()
    with pytest.raises(UserError, match="holds no model that finetune has finished"):
        card.push_model(tuned, "me/lima-role", dry_run=True)
