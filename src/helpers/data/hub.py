"""Cards and uploads for the Hugging Face hub; whatever it refuses becomes one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError


def check_name(repo: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
        if "/" not in repo:
            raise HFValidationError
    except HFValidationError:
        raise UserError(f"{repo!r} is no name for the hub: write user/name") from None


def readme(template: Path, **facts: Any) -> str:
    """A README.md with front matter, from a Jinja template that reads like one."""
    from huggingface_hub import CardData, RepoCard

    return f"{RepoCard.from_template(CardData(), str(template), **facts)}\n"


def upload(
    folder: Path,
    repo: str,
    kind: str,
    private: bool,
    files: Sequence[str],
    message: str,
    what: str,
    look: str = "",
    dry_run: bool = False,
    say: Callable = print,
) -> None:
    """Create the repository and upload exactly these files; whatever is refused becomes one line.

    `what` they are ("5 rows") is said with their size. A dry run uploads nothing and says where to `look`.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    megabytes = sum((folder / name).stat().st_size for name in files) / 1e6
    what = f"{what}, {megabytes:.1f} MB, {'private' if private else 'PUBLIC'}"
    if dry_run:
        return say(f"dry run: {repo} would get {what}{look}; nothing was uploaded")
    wait = f"the files wait in {folder.name}/"
    try:
        api = HfApi()
        api.create_repo(repo, repo_type=kind, private=private, exist_ok=True)
        if private and not api.repo_info(repo, repo_type=kind).private:  # it existed, and keeps its visibility
            raise UserError(
                f"{repo} exists and is public: make it private in its settings, or take another name; {wait}"
            )
        api.upload_folder(
            repo_id=repo, repo_type=kind, folder_path=folder, allow_patterns=list(files), commit_message=message
        )
    except UserError:
        raise
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 429 or status >= 500:
            raise UserError(f"the hub answers {status}: run again later; {wait}") from None
        raise UserError(
            f"the hub refused {repo} ({status}): run `hf auth login` with a token that may write, and check the name; {wait}"
        ) from None
    except Exception as error:
        raise UserError(f"could not reach the hub ({type(error).__name__}): run again later; {wait}") from None
    say(f"uploaded {repo}: {what}")
