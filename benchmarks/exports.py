"""Exports at full size: a release file of a small home, filled to 4,995,000 rows of pairs and 14,000,000 of users.

Belongs here: making that file, and the time and memory of one export of it. Does not belong here: servers; name a
target that is there.

    python -m benchmarks.exports HOME TARGET [FOLDER]

HOME has a live release, of any size; the full one is made once below FOLDER.
"""

import json
import os
import resource
import shutil
import sys
from pathlib import Path

import duckdb

from warehouse.exports.export import export_release
from warehouse.exports.release_file import open_release_file
from warehouse.exports.settings import asked_target
from warehouse.home import Home
from warehouse.releases.reader import release_path

PAIRS = """
    INSERT INTO pair_recommendations
    SELECT a, b, r, 1 + (a * 31 + b * 17 + r * 7919) % 58000, round(3 - r * 0.137 + (a * b % 997) / 1e6, 6), 40 - r
    FROM range(1, 1001) firsts(a) JOIN range(1, 1001) seconds(b) ON a < b, range(1, 11) ranks(r) ORDER BY ALL
"""
USERS = """
    INSERT INTO user_recommendations
    SELECT u, r, 1 + (u * 31 + r * 7919) % 58000, round(30 - r * 0.537 + (u % 99991) / 1e6, 6)
    FROM range(1, 280001) users(u), range(1, 51) ranks(r) ORDER BY ALL
"""


def full_size(home: Home, folder: Path) -> Home:
    """A home below a folder that has the live release of another one, filled to full size."""
    source, full = release_path(home), Home(folder.absolute())
    path = full.release_file(source.stem)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
        with duckdb.connect(str(path)) as con:
            for table, rows in {"pair_recommendations": PAIRS, "user_recommendations": USERS}.items():
                con.execute(f"DELETE FROM {table}")
                con.execute(rows)
        full.current.symlink_to(path.name)
        os.execv(sys.executable, sys.orig_argv)  # making it took more memory than the export will
    return full


if __name__ == "__main__":
    full = full_size(Home(Path(sys.argv[1])), Path(*sys.argv[3:4] or ["/tmp/marquee-full-size"]))
    with open_release_file(full) as release:
        done = export_release(release, asked_target(full, sys.argv[2]), print)
    facts = {"rows": sum(done.seen.rows.values()), "kilobytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    print(json.dumps({**facts, **done.seconds}))
