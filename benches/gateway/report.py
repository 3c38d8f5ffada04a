"""Prints what benches/gateway/run.sh measured, and writes the section of docs/benchmarks.md."""

import collections
import json
import os
import pathlib
import platform
import statistics
import sys

CHUNKS = 102  # of a stream of the stand-in, the last ones included
NAMES = {
    "direct": "the stand-in itself",
    "nginx": "nginx",
    "stead-sampled": "Stead, bodies sampled",
    "stead-full": "Stead, all bodies kept",
}
BEGIN, END = "<!-- gateway -->", "<!-- /gateway -->"


def main(results: str, document: str) -> int:
    found = collections.defaultdict(list)
    failed = 0
    for line in pathlib.Path(results).read_text().splitlines():
        entry = json.loads(line)
        failed += entry["result"]["errors"]
        found[entry["variant"], entry["name"]].append(entry["result"])

    def median(variant: str, name: str, field: str):
        values = [result[field] for result in found[variant, name] if result[field] is not None]
        return statistics.median(values) if values else None

    def show(value, unit="", digits=0):
        return "–" if value is None else f"{value:,.{digits}f}{unit}"

    base = {field: median("direct", "steady", field) for field in ("p50_us", "p99_us")}
    nginx = median("nginx", "full", "rate") if ("nginx", "full") in found else None
    rows = []
    for variant in NAMES:
        if (variant, "full") not in found:
            continue
        rate = median(variant, "full", "rate")
        chunk = median(variant, "stream", "cpu_us")
        added = {field: median(variant, "steady", field) - base[field] for field in base}
        rows.append([
            NAMES[variant],
            show(rate),
            show(rate / nginx if nginx else None, "", 2),
            show(median(variant, "full", "cpu_us"), " µs", 1),
            show(added["p50_us"] if variant != "direct" else None, " µs"),
            show(added["p99_us"] if variant != "direct" else None, " µs"),
            show(chunk / CHUNKS if chunk is not None else None, " µs", 1),
        ])
    head = ["through", "requests/s", "of nginx", "CPU per request", "added p50 at 500/s", "added p99 at 500/s",
            "CPU per streamed chunk"]
    table = "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])
    print(table)
    if failed:
        print(f"{failed} requests failed", file=sys.stderr)
    write(pathlib.Path(document), table)
    return 1 if failed else 0


def write(document: pathlib.Path, table: str) -> None:
    text = document.read_text() if document.exists() else "# Benchmarks\n"
    section = f"""{BEGIN}
## Gateway

`just bench gateway`: a stand-in provider that answers at once, asked with 1 KB chat requests over 32 connections as
fast as they go, and at 500 requests/s; keys, usage rows and the journal are on. The proxy has one core to itself, the
stand-in and the load share another. Processor time counts every thread and process of the proxy, writers included.
Medians of the rounds on {os.cpu_count()} cores of {processor()}.

{table}
{END}"""
    if BEGIN in text and END in text:
        before, rest = text.split(BEGIN, 1)
        text = before + section + rest.split(END, 1)[1]
    else:
        text = text.rstrip() + "\n\n" + section + "\n"
    document.parent.mkdir(exist_ok=True)
    document.write_text(text)


def processor() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
