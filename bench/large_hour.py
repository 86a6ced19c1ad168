"""How lean an hour over 4 GB loads from Amplitude's export to S3. Run: `python bench/large_hour.py`.

A file of 100 MB lies in the bucket under as many names as it takes, so that the disk holds it once; the rows repeat, as
bronze keeps them. Half of each row is a text that does not shrink, because otherwise the hour would be 60 GB of text.
The bucket answers as S3 does to those who read. The archive refers to it, so that bronze is all that is written.
"""

import base64
import gzip
import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import click

from load import ROOT, Contender, Events, err, measured, out, pipeline, work_folder

APP, HOUR, NOW = 100011471, "2026-06-01T00", "2026-06-01T04:00:00"
TEXT_BYTES = 9_000
GOAL_MB = 600


@click.group(invoke_without_command=True, help=__doc__.partition("\n")[0])
@click.option("--gigabytes", type=float, default=6, show_default=True, help="Of gzip files.")
@click.option("--file-megabytes", type=float, default=100, show_default=True, help="Of each file.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="As for load.py.")
@click.pass_context
def main(context: click.Context, gigabytes: float, file_megabytes: float, keep: Path | None) -> None:
    if context.invoked_subcommand:
        return
    with work_folder(keep) as folder:
        file = folder / "part.json.gz"
        rows = write_rows(file, int(file_megabytes * 1e6))
        size = file.stat().st_size
        files = round(gigabytes * 1e9 / size) or 1
        err.print(f"{files} files of {size / 1e6:.0f} MB with {rows:,} rows each")
        with served(file, files) as environment:
            way = pipeline(folder, Events(environment, folder, rows * files))
            way = limited(way._replace(afterwards=()))
            ((_, run),) = measured(way, folder / "run", keep is not None)
    out.print(
        f"{files * size / 1e9:.1f} GB, {rows * files:,} rows: {run.seconds:.0f} s, peak {run.peak_mb:,.0f} MB "
        f"(goal < {GOAL_MB}: {'reached' if run.peak_mb < GOAL_MB else 'missed'})"
    )


def limited(way: Contender) -> Contender:
    """The load of that hour alone, with the clock just after it."""
    clock = {"SOURCES__AMPLITUDE__START_HOUR": HOUR, "SOURCES__AMPLITUDE__NOW": NOW}
    command = [*way.command, "--start", HOUR, "--end", HOUR]
    return way._replace(environment=way.environment | clock, command=command)


def write_rows(file: Path, size: int) -> int:
    """Write export rows to a gzip file of about so many bytes, and return how many they are."""
    sys.path.insert(0, str(ROOT))
    from simulator.catalog import BLANK_ROW

    chance, rows = random.Random(1), 0
    with gzip.open(file, "wb", compresslevel=1) as sink:
        while file.stat().st_size < size:
            for _ in range(100):
                rows += 1
                text = base64.b64encode(chance.randbytes(TEXT_BYTES)).decode()
                row = BLANK_ROW | {
                    "uuid": f"00000000-0000-4000-a000-{rows:012}",
                    "app": APP,
                    "amplitude_id": rows,
                    "event_type": "upload",
                    "event_time": "2026-06-01 00:10:00.000000",
                    "server_upload_time": "2026-06-01 00:10:01.000000",
                    "event_properties": {"text": text},
                }
                sink.write(json.dumps(row).encode() + b"\n")
            sink.flush()
    return rows


@contextmanager
def served(file: Path, files: int) -> Iterator[dict[str, str]]:
    """The bucket, by a process of its own; gives the settings to read it."""
    command = [sys.executable, __file__, "serve", str(file), str(files)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - our own command
        address = next(iter(server.stdout or ())).strip()
        yield {
            "SOURCES__AMPLITUDE__EXPORT_BUCKET_URL": "s3://bucket",
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "eu-central-1",
        }
        server.communicate()


@main.command(hidden=True)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("files", type=int)
def serve(file: Path, files: int) -> None:
    """Answer as S3 does, until the input ends."""
    stem = f"{APP}/{APP}_{HOUR[:10]}_{int(HOUR[11:])}"
    sizes = {f"{stem}#{number}.json.gz": file.stat().st_size for number in range(files)}
    sizes |= {f"{stem}_complete": 0}

    class Bucket(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(b"", sizes[unquote(urlsplit(self.path).path).removeprefix("/bucket/")])

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            key = unquote(address.path).removeprefix("/bucket").removeprefix("/")
            if not key:
                self.answer(listing(sizes, parse_qs(address.query, keep_blank_values=True)))
                return
            first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
            with file.open("rb") as source:
                source.seek(int(first))
                self.answer(source.read(int(last) - int(first) + 1), status=206)

        def answer(self, body: bytes, length: int | None = None, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.send_header("Last-Modified", "Mon, 01 Jun 2026 02:00:00 GMT")
            self.send_header("ETag", '"1"')
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing of each request."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Bucket) as server:
        click.echo(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()
        server.shutdown()


def listing(sizes: dict[str, int], query: dict[str, list[str]]) -> bytes:
    """S3's answer to a listing."""
    (prefix,), (after,) = query.get("prefix", [""]), query.get("start-after", [""])
    entries = "".join(
        f"<Contents><Key>{key}</Key><Size>{size}</Size><ETag>1</ETag>"
        "<LastModified>2026-06-01T02:00:00.000Z</LastModified></Contents>"
        for key, size in sorted(sizes.items())
        if key.startswith(prefix) and key > after
    )
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()


if __name__ == "__main__":
    main()
