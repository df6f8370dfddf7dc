"""Commands beside the pipeline: `serve`, the HTTP service, `stream`, events from Kafka, and `synth`, generated data.

Belongs here: their arguments. The service is `serving.http`, the stream `serving.stream`, the generator
`benchmarks.synth`.
"""

import time
from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli.common import JsonFlag, existing, home_of, print_json
from recommender.errors import UsageError
from warehouse.home import Home

commands = typer.Typer()


@commands.command()
def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to bind to; loopback by default.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 5000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes; they share the mapped model.")] = 1,
    store: Annotated[
        str,
        typer.Option("--from", metavar="STORE", help="Follow the releases of a store (s3://bucket/prefix), no home."),
    ] = "",
    cache: Annotated[Path, typer.Option(metavar="DIR", help="Folder for what is fetched from the store.")] = Path(
        "marquee-cache"
    ),
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve an address that others reach without keys. Anybody may ask.")
    ] = False,
) -> None:
    """Serve the sign-up page and live recommendations over HTTP; on any address but loopback with `marquee keys`."""
    from serving.http.server import serve as serve_http
    from serving.settings import settings_from_environment

    home = own = home_of(context)
    settings = settings_from_environment()
    if store:
        if own.warehouse.exists():  # its events would be moved to the store instead of its landing folder
            text = (
                f"{own.root} is the home of a pipeline; a service that follows a store keeps its keys and events apart"
            )
            raise UsageError(f"{text}: name another folder with --home")
        # A request log in a cache is not collected, so there is none unless the settings ask for one.
        log = settings.request_log if "request_log" in settings.model_fields_set else False
        settings = settings.model_copy(update={"store": store, "request_log": log})
        home = Home(cache.absolute())
        from warehouse.store.cache import StoreCache

        StoreCache(store, home.root, settings.cache_bytes)
    serve_http(home, host=host, port=port, workers=workers, settings=settings, own=own, insecure=insecure)


@commands.command()
def stream(
    context: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="kafka://host:port/topic; several brokers with commas.")],
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="More properties of the Kafka client: name=value per line.")
    ] = None,
    metrics: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where Prometheus finds metrics: 127.0.0.1:9105, say.")
    ] = "",
) -> None:
    """Take the events of a Kafka topic in, each once, until told to stop."""
    from serving.stream.run import run_stream

    run_stream(existing(home_of(context)), url, config, metrics)


@commands.command()
def synth(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write the CSV files to.")],
    users: Annotated[int, typer.Option(min=1)] = 283_228,
    movies: Annotated[int, typer.Option(min=1)] = 58_098,
    ratings: Annotated[int, typer.Option(min=1)] = 27_700_000,
    genome_movies: Annotated[int, typer.Option(min=0)] = 13_176,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    as_json: JsonFlag = False,
) -> None:
    """Write MovieLens-shaped data of any size; the defaults are those of ml-latest of 2018."""
    from benchmarks.synth import generate

    started = time.perf_counter()
    written = generate(directory, users=users, movies=movies, ratings=ratings, genome_movies=genome_movies, seed=seed)
    seconds = time.perf_counter() - started
    if as_json:
        print_json({**vars(written), "seconds": round(seconds, 2)})
    else:
        print(
            f"{written.directory}: {written.users:,} users, {written.movies:,} films, {written.ratings:,} ratings, "
            f"{written.bytes / 1e6:,.1f} MB in {seconds:.1f} s"
        )
