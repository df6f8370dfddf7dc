"""Where things live at run time: every path under `MARQUEE_HOME`, and nothing else.

Belongs here: names of files and folders. Does not belong here: opening, writing or deleting them.
"""

import os
from dataclasses import dataclass
from pathlib import Path

HOME_VARIABLE = "MARQUEE_HOME"
DEFAULT_HOME = "var"

VERSION = "^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$"
"""Names of releases and models, as `tables.versions.version_name` makes them."""


@dataclass(frozen=True)
class Home:
    """The folder that holds one installation's data. See docs/operations.md for a tour.

    Attributes
    ----------
    root : Path
        Absolute path of the folder.
    """

    root: Path

    @classmethod
    def find(cls, override: str | Path | None = None) -> "Home":
        """Take the folder given, else the one `MARQUEE_HOME` names, else ``./var``."""
        chosen = override or os.environ.get(HOME_VARIABLE) or DEFAULT_HOME
        return cls(Path(chosen).expanduser().absolute())

    @property
    def sources(self) -> Path:
        """Imported files as Parquet, one immutable folder per fingerprint."""
        return self.root / "sources"

    @property
    def landing(self) -> Path:
        """Drop folder for files of new ratings."""
        return self.root / "landing"

    @property
    def warehouse(self) -> Path:
        """The pipeline's working database; nobody but the pipeline opens it."""
        return self.root / "warehouse.duckdb"

    @property
    def writer_lock(self) -> Path:
        """Lock file of the one process that may write."""
        return self.root / "warehouse.lock"

    @property
    def publish_lock(self) -> Path:
        """Lock file of the one process that may publish this home's releases to a store."""
        return self.root / "publish.lock"

    @property
    def turn_lock(self) -> Path:
        """Lock file of the one run that may recommend: it keeps its turn while others write the warehouse."""
        return self.root / "turn.lock"

    @property
    def work(self) -> Path:
        """Packs to compute from and finished units, one folder per version of the inputs; gone when committed."""
        return self.root / "work"

    @property
    def scratch(self) -> Path:
        """Where DuckDB spills what does not fit in memory; emptied by the next writer."""
        return self.root / "scratch"

    @property
    def models(self) -> Path:
        """One immutable folder per model version."""
        return self.root / "models"

    @property
    def published(self) -> Path:
        """Releases: all that consumers ever open."""
        return self.root / "published"

    @property
    def current(self) -> Path:
        """Symlink to the live release."""
        return self.published / "current.duckdb"

    @property
    def challenger(self) -> Path:
        """Symlink to the release tried beside the live one, if any."""
        return self.published / "challenger.duckdb"

    @property
    def docs(self) -> Path:
        """Pages about the releases, where `marquee docs` writes them unless it is told another folder."""
        return self.root / "docs"

    @property
    def exposure(self) -> Path:
        """Which clients meet the challenger: the experiment that runs, if any."""
        return self.published / "exposure.json"

    @property
    def requests(self) -> Path:
        """Log of the HTTP service: Parquet files waiting to be loaded."""
        return self.root / "requests"

    @property
    def client_secret(self) -> Path:
        """What keys of clients are hashed with in the request log."""
        return self.root / "client.secret"

    @property
    def events(self) -> Path:
        """What people did: the journal of the machine, and its sealed segments as Parquet files."""
        return self.root / "events"

    @property
    def keys(self) -> Path:
        """API keys of the HTTP service, hashed."""
        return self.root / "keys.json"

    @property
    def keys_lock(self) -> Path:
        """Lock file of the one process that may change the keys."""
        return self.root / "keys.lock"

    @property
    def dagster(self) -> Path:
        """`DAGSTER_HOME`: runs, event logs, schedules."""
        return self.root / "dagster"

    def release_file(self, release: str) -> Path:
        """Published database of a release."""
        return self.published / f"{release}.duckdb"

    def pack_folder(self, release: str) -> Path:
        """Serving pack of a release."""
        return self.published / f"{release}.pack"

    def report_file(self, release: str) -> Path:
        """Report of a release, a page for people."""
        return self.published / f"{release}.report.html"

    def model_folder(self, model_version: str) -> Path:
        """Artefacts of a model version."""
        return self.models / model_version

    def source_folder(self, fingerprint: str) -> Path:
        """Parquet files of an imported source or file of ratings."""
        return self.sources / fingerprint

    def create(self) -> "Home":
        """Create the folders that are missing and return self."""
        for folder in (self.sources, self.landing, self.models, self.published, self.dagster, self.scratch):
            folder.mkdir(parents=True, exist_ok=True)
        return self
