"""Prints what benches/gateway/run.sh measured with every threshold, and writes the section of docs/benchmarks.md."""

import collections
import json
import os
import pathlib
import platform
import statistics
import sys

NAMES = {
    "direct": "the stand-in itself",
    "nginx": "nginx",
    "stead-sampled": "Stead, bodies sampled",
    "stead-full": "Stead, all bodies kept",
    "stead-translated": "Stead, OpenAI to Anthropic",
}
BEGIN, END = "<!-- gateway -->", "<!-- /gateway -->"
MEGABYTE = 1e6


class Results:
    """Medians of the rounds, by variant, measurement and field."""

    def __init__(self, path: pathlib.Path):
        self.failed = 0
        self.found = collections.defaultdict(list)
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            result = entry["result"]
            self.failed += result.get("errors", 1)
            if "failed" in result:
                print(f"{entry['variant']}, {entry['name']}: {result['failed']}", file=sys.stderr)
            self.found[entry["variant"], entry["name"]].append(result)

    def get(self, variant: str, name: str, field: str, of=statistics.median):
        values = [result[field] for result in self.found.get((variant, name), []) if result.get(field) is not None]
        return of(values) if values else None

    def added(self, variant: str, name: str, field: str):
        return less(self.get(variant, name, field), self.get("direct", name, field))

    def variants(self) -> list[str]:
        measured = [variant for variant, name in self.found if name == "full"]
        return [*(name for name in NAMES if name in measured), *(name for name in dict.fromkeys(measured) if name not in NAMES)]


def less(a, b):
    return None if a is None or b is None else a - b


def ratio(a, b):
    return None if a is None or not b else a / b


def scaled(value, unit: float):
    return None if value is None else value / unit


def show(value, unit="", digits=0):
    return "–" if value is None else f"{value:,.{digits}f}{unit}"


def table_of(results: Results) -> list[str]:
    head = ["through", "requests/s", "of nginx", "CPU per request", "of nginx", "added p50 at 500/s", "added p99 at 500/s",
            "CPU per streamed token"]
    nginx_rate, nginx_cpu = (results.get("nginx", "full", field) for field in ("rate", "cpu_us"))
    rows = []
    for variant in results.variants():
        rate, cpu = (results.get(variant, "full", field) for field in ("rate", "cpu_us"))
        direct = variant == "direct"
        rows.append([
            NAMES.get(variant, variant), show(rate), show(ratio(rate, nginx_rate), "", 2), show(cpu, " µs", 1),
            show(ratio(cpu, nginx_cpu), "", 2),
            show(None if direct else results.added(variant, "steady", "p50_us"), " µs"),
            show(None if direct else results.added(variant, "steady", "p99_us"), " µs"),
            show(results.get(variant, "stream", "token_cpu_us"), " µs", 1),
        ])
    return ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]


def thresholds(results: Results) -> list[tuple[str, float | None, str, float, str, int]]:
    """What must be shown: what, measured, whether at least or at most, the bound, its unit, digits."""
    get, added = results.get, results.added
    sampled, full, translated = "stead-sampled", "stead-full", "stead-translated"
    loaded = get(sampled, "full", "memory", max)
    before, silent, streams = (get(sampled, "silent", field) for field in ("before", "memory", "streams"))
    # Where the system allows fewer open files, there are fewer streams.
    idle = None if not streams else before + (silent - before) * 10_000 / streams
    return [
        ("requests/s, bodies sampled", get(sampled, "full", "rate"), ">=", 31_000, "", 0),
        ("CPU per request, bodies sampled", get(sampled, "full", "cpu_us"), "<=", 32, " µs", 1),
        ("requests/s, all bodies kept", get(full, "full", "rate"), ">=", 16_000, "", 0),
        ("CPU per request, all bodies kept", get(full, "full", "cpu_us"), "<=", 60, " µs", 1),
        ("requests/s translated, of those forwarded",
         ratio(get(translated, "full", "rate"), get(sampled, "full", "rate")), ">=", 0.5, "", 2),
        ("added p50 at 500 requests/s", added(sampled, "steady", "p50_us"), "<=", 120, " µs", 0),
        ("added p99 at 500 requests/s", added(sampled, "steady", "p99_us"), "<=", 250, " µs", 0),
        ("CPU per forwarded token", get(sampled, "stream", "token_cpu_us"), "<=", 8, " µs", 1),
        ("CPU per translated token", get(translated, "stream", "token_cpu_us"), "<=", 12, " µs", 1),
        ("added p99 between tokens, 200 streams of 100 tokens/s", added(sampled, "paced", "gap_p99_us"), "<", 1_000, " µs", 0),
        ("memory with 10,000 idle streams", scaled(idle, MEGABYTE), "<", 200, " MB", 0),
        ("memory idle", scaled(get(sampled, "idle", "memory"), MEGABYTE), "<", 40, " MB", 0),
        ("memory at full load", scaled(loaded, MEGABYTE), "<", 100, " MB", 0),
        ("first answer of a model after the start", get(sampled, "start", "ms"), "<=", 100, " ms", 0),
    ]


def verdict(measured, sort: str, bound: float) -> str:
    if measured is None:
        return "not measured"
    passes = {">=": measured >= bound, "<=": measured <= bound, "<": measured < bound}[sort]
    return "PASS" if passes else "FAIL"


def main(path: str, document: str) -> int:
    results = Results(pathlib.Path(path))
    table = table_of(results)
    checks = ["| threshold | bound | measured | |", "| --- | --- | --- | --- |"]
    words = {">=": "at least", "<=": "at most", "<": "under"}
    failed = 0
    for what, measured, sort, bound, unit, digits in thresholds(results):
        result = verdict(measured, sort, bound)
        failed += result != "PASS"
        bound_digits = 0 if float(bound).is_integer() else digits
        checks.append(
            f"| {what} | {words[sort]} {show(bound, unit, bound_digits)} | {show(measured, unit, digits)} | {result} |"
        )
    print("\n".join([*table, "", *checks]))
    write(pathlib.Path(document), "\n".join(table), "\n".join(checks))
    if results.failed:
        print(f"{results.failed} requests failed", file=sys.stderr)
    return 1 if failed or results.failed else 0


def write(document: pathlib.Path, table: str, checks: str) -> None:
    text = document.read_text() if document.exists() else "# Benchmarks\n"
    section = f"""{BEGIN}
## Gateway

`just bench gateway`: a stand-in provider that answers at once, asked with 1 KB chat requests over 32 connections as
fast as they go, and at 500 requests/s; keys, usage rows and the journal are on. The proxy has one core to itself; the
stand-in and the load are one thread on another, which does not sleep. Processor time counts every thread and process
of the proxy, and the rows that it writes after the load is over. Medians of the rounds on {os.cpu_count()} cores of {processor()}.

{table}

{checks}
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
