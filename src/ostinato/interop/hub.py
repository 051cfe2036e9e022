"""Fetch VampNet's published files from the Hugging Face hub: its defaults, and the fine-tuned models beside them.

Needs the optional package `huggingface_hub`, which keeps what it fetched in a cache of its own, resumes what was cut
short, and shows progress.
"""

import re
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, MissingPartError
from ..registry import nearest

REPOSITORY = "hugggof/vampnet"
BASE = "vampnet"
"""The name under which the published defaults are pulled; every other name is a fine-tuned model's."""


def fetch(
    name: str,
    *,
    repository: str = REPOSITORY,
    revision: str | None = None,
    endpoint: str | None = None,
    cache: Path | None = None,
) -> dict[str, Path]:
    """The files of a published model by part, ready for `import_model`.

    Args:
        name: `vampnet`, or a fine-tuned model's.
        repository: where they are on the hub.
        revision: a branch, tag or commit; the newest unless given.
        endpoint: another hub than huggingface.co.
        cache: another place to keep what was fetched than huggingface_hub's usual one.

    Raises:
        MissingPartError: huggingface_hub is not installed.
        CheckpointError: there is no such model or repository, or the hub cannot be reached and the files are not in
            the cache.
    """
    folder = "" if name == BASE else f"loras/{name}/"
    names = {"codec": "codec.pth", "coarse": f"{folder}coarse.pth", "fine": f"{folder}c2f.pth"}
    hub = _Hub(repository, revision, endpoint, cache)
    if name != BASE and not re.fullmatch(r"[\w.-]+", name):
        raise CheckpointError(f"no fine-tuned model is called '{name}'; a name is letters, digits, '-', '_' and '.'")
    return {part: hub.file(file, name) for part, file in names.items()}


class _Hub:
    """A repository on the hub, with its errors in one line."""

    def __init__(self, repository: str, revision: str | None, endpoint: str | None, cache: Path | None) -> None:
        try:
            import huggingface_hub
            from huggingface_hub import errors
        except ImportError as error:
            cure = "pip install huggingface_hub"
            raise MissingPartError(f"fetching models needs huggingface_hub; get it with: {cure}") from error
        self.library, self.errors = huggingface_hub, errors
        self.repository, self.revision, self.endpoint, self.cache = repository, revision, endpoint, cache

    def file(self, path: str, name: str) -> Path:
        """One file of the model `name`, from the hub or, where that cannot be reached, from the cache."""
        reached = self._reached(path, name)
        try:
            found = self.library.hf_hub_download(
                self.repository,
                path,
                revision=self.revision,
                endpoint=self.endpoint,
                cache_dir=self.cache,
                local_files_only=not reached,
            )
        except self.errors.LocalEntryNotFoundError as error:
            raise CheckpointError(
                f"the hub cannot be reached and {path} has not been fetched before; go online and pull again"
            ) from error
        except Exception as error:  # of which class depends on huggingface_hub's version and its network library
            raise CheckpointError(f"fetching {path} was cut short; pull again to go on ({_short(error)})") from error
        return Path(found)

    def _reached(self, path: str, name: str) -> bool:
        """Ask for a file once; whether the hub answered. Without asking, the library would try for half a minute.

        Raises:
            CheckpointError: it answered that there is no such thing.
        """
        e, library = self.errors, self.library
        url = library.hf_hub_url(self.repository, path, revision=self.revision, endpoint=self.endpoint)
        try:
            _ = library.get_hf_file_metadata(url, **({"endpoint": self.endpoint} if self.endpoint else {}))
        except e.RevisionNotFoundError as error:
            raise CheckpointError(f"{self.repository} has no revision '{self.revision}'") from error
        except e.RepositoryNotFoundError as error:
            raise CheckpointError(f"the hub has no repository '{self.repository}' that is open to you") from error
        except e.EntryNotFoundError as error:
            raise CheckpointError(f"{self.repository} has no {path}; {self._cure(name)}") from error
        except e.HfHubHTTPError as error:
            raise CheckpointError(f"the hub refuses {path} ({_short(error)})") from error
        except Exception:  # of which class depends on huggingface_hub's version and its network library
            return False
        return True

    def _cure(self, name: str) -> str:
        """The nearest of the fine-tuned models that are there; one is there when both of its files are."""
        library: Any = self.library
        files = set(library.HfApi(endpoint=self.endpoint).list_repo_files(self.repository, revision=self.revision))
        there = sorted(
            path.split("/")[1]
            for path in files
            if re.fullmatch(r"loras/[^/]+/coarse\.pth", path) and path.replace("coarse.pth", "c2f.pth") in files
        )
        return nearest(name, [BASE, *there])


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
