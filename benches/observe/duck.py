"""The same spans in DuckDB: how fast it takes batches of 1,000, and how soon it answers the same questions."""

import json
import pathlib
import sys
import time

import duckdb

from spans import batch

folder, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
database = duckdb.connect(str(folder / "spans.duckdb"))
database.execute(
    "CREATE TABLE spans (id UUID, trace UUID, parent UUID, name VARCHAR, began TIMESTAMP, ended TIMESTAMP, model VARCHAR,"
    " provider VARCHAR, tokens BIGINT, input VARCHAR, output VARCHAR, metadata VARCHAR)"
)
SELECT = """
    SELECT id, trace_id, parent_span_id, name, start_time, end_time, model, provider, (usage->>'total_tokens')::BIGINT, input, output, metadata
    FROM read_json(?, format = 'newline_delimited', columns = {id: 'UUID', trace_id: 'UUID', parent_span_id: 'UUID', name: 'VARCHAR',
        start_time: 'TIMESTAMP', end_time: 'TIMESTAMP', model: 'VARCHAR', provider: 'VARCHAR', usage: 'JSON', input: 'JSON', output: 'JSON',
        metadata: 'JSON'})
"""
took, sent, trace, lines = 0.0, 0, None, folder / "batch.json"
while sent < count:
    spans = batch(1000, 7 * 86_400 * (1 - sent / count))
    trace = spans[-1]["trace_id"]
    lines.write_text("\n".join(map(json.dumps, spans)))
    begun = time.monotonic()
    database.execute(f"INSERT INTO spans {SELECT}", [str(lines)])
    took += time.monotonic() - begun
    sent += len(spans)
print(f"DuckDB {duckdb.__version__}: {sent:,} spans at {sent / took:,.0f} spans/s (from files of JSON, a commit for each 1,000; whole machine)")
for name, sql in [
    ("a list of 50", "SELECT * FROM spans ORDER BY id DESC LIMIT 50"),
    ("a trace", f"SELECT * FROM spans WHERE trace = '{trace}'"),
    ("seven days by the hour", "SELECT date_trunc('hour', began), count(*), sum(tokens), quantile_cont(epoch(ended - began), 0.9) FROM spans GROUP BY 1"),
    ("a search for a word", "SELECT count(*) FROM spans WHERE contains(lower(input), 'zyzzyva')"),
]:
    times = []
    for _ in range(10):
        begun = time.monotonic()
        database.execute(sql).fetchall()
        times.append(time.monotonic() - begun)
    print(f"DuckDB: {name:<38} {sorted(times)[5] * 1000:>12,.2f} ms")
database.execute("CHECKPOINT")
database.close()
print(f"DuckDB: stored{(folder / 'spans.duckdb').stat().st_size / sent / 1000:>45,.2f} KB/span")
