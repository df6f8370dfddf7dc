"""Events of service machines elsewhere: their files go to the store, and the home that publishes takes them in, once.

Belongs here: both directions. A file is `events/<machine>/<first>-<last>.parquet`, by the numbers of that machine's
journal. Both sides note in their journals how far they are: a file that is sent again is the same file, and one that
was taken in is only deleted. Does not belong here: sealing (`warehouse.events.segments`).
"""

import re
import secrets
from contextlib import suppress
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from warehouse.events.journal import Journal, Received, read_segment
from warehouse.events.segments import retire, sealing
from warehouse.faults import step
from warehouse.files import write_text
from warehouse.home import Home
from warehouse.schemas.definitions import arrow_schema
from warehouse.store.client import NoObjectError, StoreError, open_store, store_errors

if TYPE_CHECKING:
    from obstore.store import ObjectStore

FOLDER, DOOR = "events", "store"
MACHINE_FILE = "machine.id"
AT_ONCE = 5_000
"""Events taken in by one transaction: the doors of the home do not wait long for it."""

_KEY = re.compile(rf"{FOLDER}/([0-9a-f]{{16}})/(\d+)-(\d+)\.parquet")


class _SentFile(NamedTuple):
    machine: str
    first: int
    last: int
    key: str


def send_events(journal: Journal, url: str) -> int:
    """Send the segments that were not sent yet, unless another process is doing so; return how many.

    Raises
    ------
    StoreError, JournalError
    """
    waiting = journal.segments(after=_next(journal, DOOR) - 1)
    if not waiting:
        return 0
    with sealing(journal.folder) as mine:
        if not mine:
            return 0
        objects, machine = open_store(url, make_folder=True), _machine(journal.folder)
        for segment in waiting:
            with store_errors(url, "written"):
                objects.put(f"{FOLDER}/{machine}/{segment.path.name}", segment.path)
            step("segment_sent")
            journal.append([], DOOR, {(DOOR, 0): segment.last_seq + 1})
    retire(journal, {segment.path.name for segment in journal.segments() if segment.last_seq <= waiting[-1].last_seq})
    return len(waiting)


def take_in_events(home: Home, url: str) -> int:
    """Take the events of other machines into the home's journal, and delete their files; return how many are new.

    Raises
    ------
    StoreError, JournalError
    """
    objects = open_store(url, make_folder=True)
    journal, taken = Journal(home.events), 0
    try:
        for file in _sent_files(objects, url):
            taken += _take_in(journal, objects, url, file)
    finally:
        journal.close()
    return taken


def _sent_files(objects: "ObjectStore", url: str) -> list[_SentFile]:
    """Files in the order of each machine's numbers."""
    with store_errors(url, "read"):
        keys = [item["path"] for batch in objects.list(f"{FOLDER}/") for item in batch]
    found = ((match, key) for key in keys if (match := _KEY.fullmatch(key)))
    return sorted(_SentFile(match[1], int(match[2]), int(match[3]), key) for match, key in found)


def _take_in(journal: Journal, objects: "ObjectStore", url: str, file: _SentFile) -> int:
    topic = f"{DOOR}:{file.machine}"
    following, taken = _next(journal, topic), 0
    if file.last >= following:
        rows = iter([row for row in _read(objects, url, file.key) if row.seq >= following])
        while part := list(islice(rows, AT_ONCE)):
            place = {(topic, 0): part[-1].seq + 1}
            taken += journal.append([row.event for row in part], DOOR, place).accepted
            step("segment_part_taken_in")
    with suppress(NoObjectError), store_errors(url, "cleared of events"):
        objects.delete(file.key)
    return taken


def _read(objects: "ObjectStore", url: str, key: str) -> list[Received]:
    with store_errors(url, "read"):
        content = BytesIO(bytes(objects.get(key).bytes()))
    try:
        if not pq.read_schema(content).equals(arrow_schema("ops.events")):
            raise StoreError(f"{url}/{key} is not a file of events of this version; move it away")
        return read_segment(content)
    except pa.ArrowException as error:
        raise StoreError(f"{url}/{key} is damaged ({str(error).splitlines()[0]}); move it away") from None


def _next(journal: Journal, topic: str) -> int:
    """The next number to send or take in."""
    return journal.offsets(topic).get(0, 1)


def _machine(folder: Path) -> str:
    """Name of this machine's journal in the store, made once; by the holder of the sealing lock."""
    path = folder / MACHINE_FILE
    if not path.exists():
        write_text(path, secrets.token_hex(8))
    return path.read_text(encoding="utf-8")
