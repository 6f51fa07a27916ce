"""Upload files to the Hugging Face hub; whatever it refuses becomes one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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


def upload(folder: Path, repo: str, kind: str, private: bool, files: Sequence[str], message: str) -> None:
    """Create the repository and upload exactly these files; whatever is refused becomes one line."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

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
