"""A journal never pays twice: one JSON line per answer that cost time or money.

Before a step asks a model, it asks the journal; after the model has answered, the answer is on
disk before anything else happens. A process killed at any instant loses no finished answer: at
worst the last line is torn, and a torn last line is dropped when the journal is opened again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from filelock import SoftFileLock, Timeout

from ..errors import UserError


def key(model: str, params: dict[str, Any], prompt: str) -> str:
    """sha256 of (model, parameters, prompt): the identity of a question to a model."""
    canonical = json.dumps([model, params, prompt], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


class Journal:
    """An append-only JSONL file of records, each with a "key". One writer at a time.

    with Journal(path) as journal:
        if (record := journal.get(k)) is None:
            journal.add({"key": k, "reply": ask(prompt)})
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = SoftFileLock(f"{self.path}.lock", timeout=0)

    def __enter__(self) -> Journal:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            raise UserError(
                f"{self.path.name} is being written by process {self._lock.pid or 'unknown'}: wait for it to end, or end it; "
                f"if there is none, remove {self.path.name}.lock"
            ) from None
        try:
            self._records = {r["key"]: r for r in read(self.path, repair=True)}
        except BaseException:
            self._lock.release()
            raise
        self._file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self._lock.release()

    def __len__(self) -> int:
        return len(self._records)

    def get(self, k: str) -> dict[str, Any] | None:
        return self._records.get(k)

    def add(self, record: dict[str, Any]) -> None:
        """Append one record; it is on the disk when this returns."""
        self.extend([record])

    def extend(self, records: Iterable[dict[str, Any]]) -> None:
        """Append records that came together; they are on the disk when this returns."""
        new = {record["key"]: record for record in records}
        self._file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in new.values())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._records |= new

    def sort(self, keys: Iterable[str]) -> None:
        """Rewrite the file in the order of `keys` (others keep their place behind them), all or nothing.

        Answers are appended as they finish; sorted at the end of a step, the file of a step that was
        killed and resumed equals the file of one that was not.
        """
        first = {k: self._records[k] for k in keys if k in self._records}
        self._records = first | {k: r for k, r in self._records.items() if k not in first}
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in self._records.values())
            file.flush()
            os.fsync(file.fileno())
        self._file.close()
        os.replace(temporary, self.path)
        self._file = self.path.open("a", encoding="utf-8")


class Scratch(Journal):
    """A journal in memory, for questions that are meant to be asked anew."""

    def __init__(self) -> None:
        self._records: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def extend(self, records: Iterable[dict[str, Any]]) -> None:
        self._records |= {record["key"]: record for record in records}

    def sort(self, keys: Iterable[str]) -> None:
        pass


def read(path: str | Path, repair: bool = False) -> Iterator[dict[str, Any]]:
    """The records of a journal, without locking it. `repair` cuts a torn last line off the file.

    Raises UserError naming file and line where any other line is damaged.
    """
    path = Path(path)
    if not path.exists():
        return
    good = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                record = json.loads(line) if line.endswith(b"\n") else None
                if not isinstance(record, dict) or "key" not in record:
                    raise ValueError
            except ValueError:
                if line.endswith(b"\n"):
                    raise UserError(f"{path.name}, line {number}: not a journal record; repair or remove it") from None
                print(f"{path.name}: dropped a torn last line ({len(line)} bytes)")
                break
            good += len(line)
            yield record
    if repair and good < path.stat().st_size:
        os.truncate(path, good)
