"""The scale benchmark: whole runs on generated data of full MovieLens size, stage by stage, as a table and JSON.

``python -m benchmarks.run [--out DIR] [--parts stages,book,growth]`` (`make bench` runs all parts; allow 30 minutes on
two idle cores). Everything goes through the command line, as a user would run it; kernels are compiled beforehand by a
small run whose time is reported apart. Results: ``<out>/bench.json`` and ``<out>/bench.md``, and
``docs/images/growth.svg`` when growth was measured.
"""

import argparse
import json
import math
import platform
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.measure import Machine, marquee, measure_machine, run_command
from warehouse.queries import records

FULL = {"users": 283_228, "movies": 58_098, "ratings": 27_700_000, "genome-movies": 13_176}
TAGS = 1128
COMPONENTS = 64


def main() -> None:
    """Run the parts asked for and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"))
    parser.add_argument("--parts", default="stages,book,growth")
    options = parser.parse_args()
    parts = set(options.parts.split(","))
    options.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"machine": asdict(measure_machine()), "python": platform.python_version()}
    found["compilation_seconds"] = compile_kernels(options.out)
    if "stages" in parts:
        found["stages"] = measure_stages(options.out)
    if "book" in parts:
        found["book"] = measure_book(options.out)
    if "growth" in parts:
        found["growth"] = measure_growth(options.out)
    path = options.out / "bench.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**known, **found}, indent=2) + "\n")
    (options.out / "bench.md").write_text(as_markdown({**known, **found}))
    print(f"written: {path} and {options.out / 'bench.md'}")


def synth(folder: Path, **size: int) -> Path:
    """Generate data of a size unless it is there."""
    if not (folder / "ratings.csv").exists():
        say(f"generating {folder.name}")
        arguments = [part for name, value in size.items() for part in (f"--{name}", value)]
        marquee(folder.parent / "unused", "synth", folder, *arguments)
    return folder


def full_size(out: Path) -> Path:
    """The data of full size."""
    return synth(out / "full", **FULL)


def fresh(home: Path) -> Path:
    """An empty home."""
    shutil.rmtree(home, ignore_errors=True)
    return home


def compile_kernels(out: Path) -> float:
    """Run once on a toy, so that compiled code is cached; return the seconds that took."""
    toy = synth(out / "toy", users=300, movies=200, ratings=6_000, **{"genome-movies": 80})
    started = time.perf_counter()
    marquee(fresh(out / "toy-home"), "run", "--source", toy, "--set", "top_movies=20")
    return round(time.perf_counter() - started, 1)


def measure_stages(out: Path) -> dict[str, Any]:
    """Cold run, run and refresh with nothing new, refresh after new ratings in one month."""
    source, home = full_size(out), fresh(out / "full-home")
    say("cold run at full size")
    cold, cost = marquee(home, "run", "--source", source)
    say("nothing new")
    unchanged, unchanged_cost = marquee(home, "refresh")
    say("new ratings in one month")
    ingested, ingest_cost = marquee(home, "ingest", month_of_ratings(out, home))
    refreshed, refresh_cost = marquee(home, "refresh")
    return {
        "cold": {"cost": asdict(cost), "stages": cold["stages"], "state": cold["state"]},
        "unchanged": {"cost": asdict(unchanged_cost), "work": unchanged["seconds"]["total"]},
        "ingest": {"cost": asdict(ingest_cost), "months": len(ingested["months"])},
        "refresh": {"cost": asdict(refresh_cost), "stages": refreshed["stages"], "work": refreshed["seconds"]["total"]},
        "counts": counts(home),
        "csv_bytes": sum(path.stat().st_size for path in source.glob("*.csv")),
    }


def month_of_ratings(out: Path, home: Path, rows: int = 100_000) -> Path:
    """Ratings by new users of the sign-up films, all in one month."""
    path = out / "month.csv"
    quoted = str(home / "published" / "current.duckdb").replace("'", "''")
    con = duckdb.connect()
    con.execute(f"ATTACH '{quoted}' AS live (READ_ONLY)")
    con.execute(
        f"""
        COPY (
            SELECT 1000000 + n // 20 AS "userId", movie_id AS "movieId", 3.0 + (n % 5) / 2.0 AS rating,
                1533081600 + n AS timestamp
            FROM range({rows}) t(n) JOIN live.signup_movies ON position = 1 + hash(n) % 1000
        ) TO '{str(path).replace("'", "''")}' (HEADER)
        """
    )
    con.close()
    return path


def counts(home: Path) -> dict[str, int]:
    """Sizes that the stages depend on."""
    with duckdb.connect(str((home / "published" / "current.duckdb").resolve()), read_only=True) as con:
        (row,) = records(
            con.execute(
                """
                SELECT (SELECT count(*) FROM ratings) AS ratings,
                    (SELECT count(*) FROM ratings WHERE rating >= 4) AS likes,
                    (SELECT count(*) FROM ratings SEMI JOIN genome USING (movie_id) WHERE rating >= 4)
                        AS likes_with_vector,
                    (SELECT count(DISTINCT user_id) FROM ratings WHERE rating >= 4) AS users,
                    (SELECT count(*) FROM genome) AS genome_movies,
                    (SELECT count(*) FROM signup_movies) AS signup_movies,
                    (SELECT count(*) FROM pair_recommendations) AS pair_rows
                """
            )
        )
    return row


def measure_book(out: Path) -> dict[str, Any]:
    """The textbook's program and the platform on the same files, at a size where the former finishes."""
    size = {"users": FULL["users"] // 8, "movies": FULL["movies"], "ratings": FULL["ratings"] // 8}
    source = synth(out / "eighth", **size, **{"genome-movies": FULL["genome-movies"]})
    say("the textbook's program, an eighth of the users")
    output, cost = run_command([sys.executable, "-m", "benchmarks.book", source, "--top-movies", 1000])
    say("the platform on the same files")
    report, ours = marquee(fresh(out / "eighth-home"), "run", "--source", source, "--preset", "book")
    book = json.loads(output)
    return {
        "users": size["users"],
        "signup_movies": 1000,
        "book": {"cost": asdict(cost), **book},
        "ours": {"cost": asdict(ours), "stages": report["stages"]},
        "ratio": round(cost.wall / ours.wall, 1),
    }


def measure_growth(out: Path) -> dict[str, Any]:
    """Wall seconds of the stages at 1/8 to 2 times the users, and of the refresh at 250 to 2,000 films."""
    by_users = []
    for share in (0.125, 0.25, 0.5, 1.0, 2.0):
        size = {"users": int(FULL["users"] * share), "movies": FULL["movies"], "ratings": int(FULL["ratings"] * share)}
        name = "full" if share == 1.0 else "eighth" if share == 0.125 else f"users-{share}"
        source = synth(out / name, **size, **{"genome-movies": FULL["genome-movies"]})
        say(f"{share} times the users")
        home = fresh(out / "growth-home")
        report, cost = marquee(home, "run", "--source", source)
        by_users.append({"share": share, "cost": asdict(cost), "stages": report["stages"], "counts": counts(home)})
        if share == 2.0 and source != out / "full":
            shutil.rmtree(source)
    by_films = []
    home = fresh(out / "growth-home")
    marquee(home, "run", "--source", full_size(out), "--set", "top_movies=50")
    for films in (250, 500, 1000, 2000):
        say(f"{films} films")
        report, cost = marquee(home, "refresh", "--set", f"top_movies={films}")
        by_films.append({"films": films, "cost": asdict(cost), "stages": report["stages"]})
    shutil.rmtree(home)
    return {"users": by_users, "films": by_films, "exponents": exponents(by_users, by_films)}


def exponents(by_users: list[dict[str, Any]], by_films: list[dict[str, Any]]) -> dict[str, float]:
    """Slopes of log seconds over log size: 1 is linear. Stages under 0.2 s at the largest size are left out."""
    found = {}
    for stage in by_users[-1]["stages"]:
        points = [(math.log(row["counts"]["likes"]), row["stages"][stage]["seconds"] or 0) for row in by_users]
        if points[-1][1] >= 0.2 and all(seconds > 0 for _, seconds in points):
            found[f"users: {stage}"] = slope([(x, math.log(seconds)) for x, seconds in points])
    pairs = [(math.log(row["films"] * (row["films"] - 1) / 2), row) for row in by_films]
    for stage in ("recs/pair_recommendations", "published/staged_release"):
        found[f"pairs: {stage}"] = slope([(x, math.log(row["stages"][stage]["seconds"])) for x, row in pairs])
    return {name: round(value, 2) for name, value in found.items()}


def slope(points: list[tuple[float, float]]) -> float:
    """Least-squares slope."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def limits(stages: dict[str, Any], machine: Machine) -> dict[str, tuple[float, str]]:
    """Least seconds each stage could take on this machine, and why."""
    size, csv = stages["counts"], stages["csv_bytes"] / 1e9
    parallel = machine.copy_gigabytes * machine.cores
    vectors = size["users"] * TAGS * 4 / 1e9
    sums = size["likes_with_vector"] * TAGS / 1e9
    projection = 2 * size["users"] * TAGS * COMPONENTS / 1e9
    scores = size["likes_with_vector"] * size["signup_movies"] / 1e9
    answer = size["pair_rows"] * 18 / 1e9
    written = size["ratings"] * 20 / 1e9 + answer + size["genome_movies"] * TAGS * 4 / 1e9
    return {
        "raw/source_files": (
            csv / machine.hash_gigabytes + size["ratings"] * 40 / 1e9 / machine.write_gigabytes,
            f"hash {csv:.2f} GB of CSV on one core, write the ratings twice",
        ),
        "model/likes": (size["ratings"] * 20 / 1e9 / parallel, "read 20 bytes a rating from memory"),
        "model/annoy_indexes": (
            (sums + projection) / machine.gigaflops,
            f"{sums:.0f} G additions, {projection:.0f} GFLOP of projection; building the trees not counted",
        ),
        "model/user_vectors": (
            sums / machine.gigaflops + vectors / machine.write_gigabytes,
            f"{sums:.0f} G additions, write {vectors:.2f} GB",
        ),
        "recs/pair_recommendations": (
            scores / machine.gigaflops + answer / machine.write_gigabytes,
            f"{scores:.0f} G additions for the film scores, write {answer:.2f} GB; the search itself not counted",
        ),
        "published/staged_release": (written / machine.write_gigabytes, f"write {written:.2f} GB"),
    }


def as_markdown(found: dict[str, Any]) -> str:
    """The results as tables."""
    machine = Machine(**found["machine"])
    lines = [
        f"Machine: {machine.cores} cores, {machine.gigaflops:.0f} GFLOP/s (single precision), copy "
        f"{machine.copy_gigabytes:.1f} GB/s a core, write {machine.write_gigabytes:.2f} GB/s, SHA-256 "
        f"{machine.hash_gigabytes:.2f} GB/s. Compiling the kernels (once): {found['compilation_seconds']} s.",
        "",
    ]
    if "stages" in found:
        lines += _stage_tables(found["stages"], machine)
    if "book" in found:
        book = found["book"]
        lines += [
            f"Textbook and platform, {book['users']:,} users and {book['signup_movies']} films, same files: "
            f"{book['book']['cost']['wall']:.0f} s and {book['ours']['cost']['wall']:.1f} s, "
            f"**{book['ratio']} times**. Its steps: "
            + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in book["book"]["seconds"].items())
            + ".",
            "",
        ]
    if "growth" in found:
        lines += _growth_tables(found["growth"])
    return "\n".join(lines) + "\n"


def _stage_tables(stages: dict[str, Any], machine: Machine) -> list[str]:
    lines = ["| stage | wall s | CPU s | peak MB so far | rows | limit s | times the limit | the limit is to |"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|---|")
    bounds = limits(stages, machine)
    for stage, facts in stages["cold"]["stages"].items():
        if (facts["seconds"] or 0) < 0.05 or stage in {"raw/movies", "raw/rejected_rows"}:
            continue
        least, why = bounds.get(stage, (None, ""))
        rows = f"{facts['dagster/row_count']:,}" if facts["dagster/row_count"] else ""
        distance = f"{least:.2f} | {facts['seconds'] / least:.1f}" if least else " | "
        lines.append(
            f"| {stage} | {facts['seconds']:.1f} | {facts['cpu_seconds']:.1f} | {facts['peak_memory_megabytes']:,.0f} "
            f"| {rows} | {distance} | {why} |"
        )
    cold = stages["cold"]["cost"]
    lines.append(
        f"| **whole process** | **{cold['wall']:.1f}** | {cold['cpu']:.1f} | {cold['peak_megabytes']:,.0f} | | | | |"
    )
    lines += [
        "",
        f"Refresh with nothing new: {stages['unchanged']['work']:.1f} s of work "
        f"({stages['unchanged']['cost']['wall']:.1f} s with starting Python). Ingest of one month: "
        f"{stages['ingest']['cost']['wall']:.1f} s; the refresh after it: {stages['refresh']['cost']['wall']:.1f} s.",
        "",
    ]
    return lines


def _growth_tables(growth: dict[str, Any]) -> list[str]:
    chosen = ("raw/source_files", "model/annoy_indexes", "model/user_vectors", "recs/pair_recommendations",
              "published/staged_release")  # fmt: skip
    lines = ["| users | likes | whole run s | " + " | ".join(chosen) + " | peak MB |", "|---" * (len(chosen) + 4) + "|"]
    for row in growth["users"]:
        seconds = " | ".join(f"{row['stages'][stage]['seconds']:.1f}" for stage in chosen)
        lines.append(
            f"| {row['share']:g} x | {row['counts']['likes']:,} | {row['cost']['wall']:.1f} | {seconds} | "
            f"{row['cost']['peak_megabytes']:,.0f} |"
        )
    lines += ["", "| films | pairs | pair_recommendations s | staged_release s |", "|---:|---:|---:|---:|"]
    for row in growth["films"]:
        pairs, staged = (
            row["stages"][stage]["seconds"] for stage in ("recs/pair_recommendations", "published/staged_release")
        )
        lines.append(f"| {row['films']:,} | {row['films'] * (row['films'] - 1) // 2:,} | {pairs:.1f} | {staged:.1f} |")
    lines += [
        "",
        "Fitted exponents (1 is linear): " + "; ".join(f"{k} {v}" for k, v in growth["exponents"].items()) + ".",
        "",
    ]
    return lines


def say(text: str) -> None:
    """Progress on stderr."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
