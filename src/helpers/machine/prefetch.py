"""Everything an offline room needs, in one folder: the profile's model and data."""

from __future__ import annotations

import shutil
from pathlib import Path

from .. import benchmarks, models
from ..data import lima, source_for
from ..errors import UserError
from ..profiles import DEFAULT_MODEL, get
from .files import rename


def prefetch(profile: str, to: Path, say=print) -> None:
    """Fill `to` with the model (and hub data, where the profile uses it) and say how to point the course at it."""
    settings = get(profile)
    to.mkdir(parents=True, exist_ok=True)
    if settings.model == DEFAULT_MODEL:
        target = to / DEFAULT_MODEL
        if not target.is_dir():
            temporary = to / (DEFAULT_MODEL + ".tmp")
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.copytree(models.fetch_default(say), temporary)
            rename(temporary, target)
        say(f"model: set SPT_CACHE to {to.name} on every machine of the room")
    else:
        from huggingface_hub import snapshot_download

        try:
            snapshot_download(settings.model, local_dir=to / settings.model.rsplit("/", 1)[-1])
        except Exception as error:
            raise UserError(f"could not fetch {settings.model} from the hub: log in or check the network") from error
        say(f"model: in {to.name}/{settings.model.rsplit('/', 1)[-1]}")
    if source_for(settings.source) == "hub":
        for name, benchmark in benchmarks.BENCHMARKS.items():
            rows = benchmark.rows("hub")
            say(f"{name}: {len(rows)} rows in the hub's cache")
        say(f"lima: {len(lima.dialogues('hub'))} dialogues in the hub's cache")
    else:
        say("data: the packaged samples travel with the course" if settings.source == "packaged" else "data: SPT_DATA")
