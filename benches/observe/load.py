"""Sends spans as gzip JSON in batches of 1,000 over four connections, and prints what the server did with them."""

import gzip
import http.client
import json
import os
import pathlib
import random
import sys
import threading
import time

port, server, data, count = int(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3]), int(sys.argv[4])
BATCH, CONNECTIONS, PREPARED = 1000, 4, 200
HEADERS = {"content-type": "application/json", "content-encoding": "gzip"}
words = [f"word{number}" for number in range(5000)]
chance = random.Random(1)


def uuid7():
    millis = time.time_ns() // 1_000_000
    value = millis << 80 | 7 << 76 | chance.getrandbits(12) << 64 | 2 << 62 | chance.getrandbits(62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def sentence(length):
    return " ".join(chance.choice(words) for _ in range(length))


def span(trace, parent):
    return {
        "id": uuid7(), "trace_id": trace, "parent_span_id": parent, "project_name": "bench", "name": "call", "type": "llm",
        "start_time": "2026-11-21T06:54:44.856948Z", "end_time": "2026-11-21T06:54:45.862249Z",
        "input": {"messages": [{"role": "user", "content": sentence(100)}]}, "output": {"content": sentence(100)},
        "metadata": {"temperature": 0.5, "session": sentence(20)}, "model": "gpt-4o-mini", "provider": "openai",
        "usage": {"prompt_tokens": 100, "completion_tokens": 120, "total_tokens": 220}, "tags": ["bench"], "source": "sdk",
        "last_updated_at": "2026-11-21T06:54:45.862276Z",
    }


def batch():
    spans = []
    while len(spans) < BATCH:
        trace, root = uuid7(), None
        for _ in range(10):
            spans.append(span(trace, root))
            root = root or spans[-1]["id"]
    body = json.dumps({"spans": spans}).encode()
    return gzip.compress(body, 1), len(body)


def ticks():
    fields = pathlib.Path(f"/proc/{server}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def send(bodies):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for body in bodies:
        connection.request("POST", "/opik/api/v1/private/spans/batch", body, HEADERS)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 204, (answer.status, text)


def verdict(name, value, limit, unit, least=False):
    good = value >= limit if least else value <= limit
    bound = "at least" if least else "at most"
    print(f"{name:<46} {value:>12,.2f} {unit} ({bound} {limit:,})  {'PASS' if good else 'FAIL'}", flush=True)
    return good


wall, cpu, sent, bytes_plain = 0.0, 0.0, 0, 0
while sent < count:
    bodies = [batch() for _ in range(min(PREPARED, (count - sent) // BATCH or 1))]
    before, begun = ticks(), time.monotonic()
    threads = [threading.Thread(target=send, args=([body for body, _ in bodies[part::CONNECTIONS]],)) for part in range(CONNECTIONS)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    wall += time.monotonic() - begun
    cpu += ticks() - before
    sent += len(bodies) * BATCH
    bytes_plain += sum(length for _, length in bodies)

print(f"{sent:,} spans of {bytes_plain / sent:,.0f} bytes in {wall:.1f} s, {cpu:.1f} s of the server's processor time")
good = verdict("spans a second and core, durable", sent / cpu, 25_000, "spans/s", least=True)
size = sum(path.stat().st_size for path in (data / "traces").iterdir())
good &= verdict("stored, with every index", size / sent / 1000, 1.2, "KB/span")
connection = http.client.HTTPConnection("127.0.0.1", port)
times = []
for _ in range(200):
    begun = time.monotonic()
    connection.request("GET", "/opik/api/v1/private/spans?project_name=bench&size=50")
    answer = json.loads(connection.getresponse().read())
    times.append(time.monotonic() - begun)
    assert answer["total"] == sent and len(answer["content"]) == 50, answer["total"]
good &= verdict("a list of 50, p99", sorted(times)[197] * 1000, 5, "ms")
memory = int(pathlib.Path(f"/proc/{server}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
good &= verdict("memory at most", memory, 300, "MB")
sys.exit(not good)
