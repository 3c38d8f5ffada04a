"""Sends spans in batches of 1,000 over four connections, as gzip JSON and as OTLP, then asks for them; prints what it took."""

import gzip
import http.client
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

from spans import batch, otlp, span, uuid7, when

folder, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
data = folder / "data"
BATCH, CONNECTIONS, PREPARED, WEEK = 1000, 4, 100, 7 * 86_400
BASE = "/opik/api/v1/private"
NEEDLE = "zyzzyva"
LIMITED = os.environ.get("LIMITS") != "off"
verdicts = []


class Server:
    def __init__(self):
        self.port = 20_000 + os.getpid() % 20_000
        begun = time.monotonic()
        arguments = ["up", "--listen", f"127.0.0.1:{self.port}", "--no-discover", "--no-default-model", "--set", "opikLocal=on"]
        with open(folder / "log", "ab") as log:
            self.process = subprocess.Popen([os.environ["STEAD_BINARY"], *arguments], stdout=log, stderr=log)
        (folder / "server").write_text(str(self.process.pid))
        while True:
            try:
                if self.ask("GET", "/readyz", whole=False)[0] == 200:
                    break
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() - begun > 60:
                sys.exit((folder / "log").read_text())
            time.sleep(0.01)
        self.started = time.monotonic() - begun

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def fetch(self, method, path, body=None, connection=None):
        """Sends a request and reads the answer, which is no error; what a client makes of its JSON is not measured."""
        status, read = self.ask(method, path, body, connection, whole=False)
        assert status < 300, (status, read[:500])
        return read

    def ask(self, method, path, body=None, connection=None, whole=True):
        connection = connection or self.connect()
        text = None if body is None else json.dumps(body)
        headers = {"content-type": "application/json"}
        token = data / "keys/admin.token"
        if path.startswith("/api/") and token.exists():
            headers["authorization"] = f"Bearer {token.read_text().strip()}"
        connection.request(method, path, text, headers)
        answer = connection.getresponse()
        read = answer.read()
        assert not whole or answer.status < 300, (answer.status, read[:500])
        return answer.status, json.loads(read) if whole and read else read

    def ticks(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, what):
        return int(pathlib.Path(f"/proc/{self.process.pid}/status").read_text().split(what)[1].split()[0]) / 1024

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def verdict(name, value, limit, unit, least=False):
    good = value >= limit if least else value <= limit
    bound = "at least" if least else "at most"
    print(f"{name:<46} {value:>12,.2f} {unit} ({bound} {limit:,})  {'PASS' if good else 'FAIL'}", flush=True)
    verdicts.append(good)


def p99(times):
    return sorted(times)[max(0, len(times) * 99 // 100 - 1)] * 1000


def timed(times, ask):
    took = []
    for number in range(times):
        begun = time.monotonic()
        ask(number)
        took.append(time.monotonic() - begun)
    return p99(took)


def send(server, bodies, missed):
    """Sends batches; asks at once for a trace of each that was acknowledged."""
    connection = server.connect()
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    for body, trace in bodies:
        connection.request("POST", f"{BASE}/spans/batch", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 204, (answer.status, text)
        found = server.ask("GET", f"{BASE}/spans?project_name=bench&trace_id={trace}&size=10", connection=connection)[1]
        missed.append(10 - len(found["content"]))


def fill(server):
    wall, cpu, sent, plain, traces, missed = 0.0, 0.0, 0, 0, [], []
    while sent < count:
        bodies = []
        for _ in range(min(PREPARED, -(-(count - sent) // BATCH))):
            spans = batch(BATCH, WEEK * (1 - sent / count))
            text = json.dumps({"spans": spans}).encode()
            plain += len(text)
            traces.append(spans[-1]["trace_id"])
            bodies.append((gzip.compress(text, 1), traces[-1]))
        before, begun = server.ticks(), time.monotonic()
        parts = [threading.Thread(target=send, args=(server, bodies[part::CONNECTIONS], missed)) for part in range(CONNECTIONS)]
        [part.start() for part in parts]
        [part.join() for part in parts]
        wall += time.monotonic() - begun
        cpu += server.ticks() - before
        sent += len(bodies) * BATCH
    print(f"{sent:,} spans of {plain / sent:,.0f} bytes in {wall:.1f} s, {cpu:.1f} s of the server's processor time, reads and the index of words included")
    verdict("spans a second and core, durable", sent / cpu, 25_000, "spans/s", least=True)
    verdict(f"missed of {len(missed) * 10:,} read once acknowledged", sum(missed), 0, "spans")
    assert sum(missed) == 0, f"{sum(missed)} spans are missed that were acknowledged"
    return sent, traces


def send_otlp(server, bodies, missed):
    """The same over OTLP in protobuf; the tree of a trace of each batch is asked for at once."""
    connection = server.connect()
    headers = {"content-type": "application/x-protobuf", "projectName": "bench-otlp"}
    for body, trace in bodies:
        connection.request("POST", "/otlp/v1/traces", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200 and len(text) == 0, (answer.status, text)
        found = server.ask("GET", f"/api/traces/{trace}", connection=connection)[1]
        missed.append(10 - len(found["spans"]))


def fill_otlp(server, count):
    bodies = [otlp(BATCH, 60) for _ in range(max(1, count // BATCH))]
    missed, before, begun = [], server.ticks(), time.monotonic()
    parts = [threading.Thread(target=send_otlp, args=(server, bodies[part::CONNECTIONS], missed)) for part in range(CONNECTIONS)]
    [part.start() for part in parts]
    [part.join() for part in parts]
    wall, cpu, sent = time.monotonic() - begun, server.ticks() - before, len(bodies) * BATCH
    plain = sum(len(body) for body, _ in bodies)
    print(f"{sent:,} spans of {plain / sent:,.0f} bytes over OTLP in {wall:.1f} s, {cpu:.1f} s of the server's processor time, reads included")
    verdict("spans a second and two cores over OTLP, durable", 2 * sent / max(cpu, 0.01), 50_000, "spans/s", least=True)
    assert len(missed) == len(bodies) and sum(missed) == 0, f"{sum(missed)} spans are missed that were acknowledged"
    return sent


def special(server):
    """A trace of 100 spans, one of 10,000, and one span with a word of its own."""
    for size in (100, 10_000):
        trace, root = uuid7(), None
        told = {"id": trace, "project_name": "bench", "name": "special", "start_time": when(time.time() - 60)}
        server.ask("POST", f"{BASE}/traces/batch", {"traces": [told]})
        for part in range(0, size, BATCH):
            spans = [span(trace, root, 60) for _ in range(min(BATCH, size - part))]
            root = root or spans[0]["id"]
            if size == 100:
                spans[50]["input"]["messages"][0]["content"] += f" {NEEDLE} "
            server.ask("POST", f"{BASE}/spans/batch", {"spans": spans})
        yield trace


def ask(server, sent, traces):
    short, long = special(server)
    sent += 10_100
    connection = server.connect()
    get = lambda path: server.ask("GET", f"{BASE}/{path}", connection=connection)[1]
    fetch = lambda path: server.fetch("GET", f"{BASE}/{path}", connection=connection)
    listed = get("spans?project_name=bench&size=50")
    assert listed["total"] == sent and len(listed["content"]) == 50, listed["total"]
    verdict("a list of 50, p99", timed(200, lambda _: fetch("spans?project_name=bench&size=50")), 5, "ms")
    verdict("a trace of 100 spans, p99", timed(100, lambda _: fetch(f"spans?project_name=bench&trace_id={short}&size=100")), 5, "ms")
    without = "%5B%22input%22,%22output%22,%22metadata%22%5D"
    path = f"spans?project_name=bench&trace_id={long}&size=10000&exclude={without}"
    assert len(get(path)["content"]) == 10_000
    verdict("the skeleton of a trace of 10,000 spans", timed(5, lambda _: fetch(path)), 100, "ms")
    tree = lambda _: server.fetch("GET", f"/api/traces/{long}", connection=connection)
    verdict("the same as the console asks for it", timed(5, tree), 100, "ms")
    for field in ("name", "duration", "total_estimated_cost"):
        sorting = f"%5B%7B%22field%22:%22{field}%22,%22direction%22:%22DESC%22%7D%5D"
        took = timed(2, lambda _: fetch(f"spans?project_name=bench&size=50&sorting={sorting}"))
        print(f"a list of 50 by {field:<32} {took:>12,.2f} ms")
    project = listed["content"][0]["project_id"]
    start = time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(time.time() - WEEK))
    asked = {"metric_type": "SPAN_TOKEN_USAGE", "interval": "HOURLY", "interval_start": start}
    board = lambda _: server.fetch("POST", f"{BASE}/projects/{project}/metrics", asked, connection)
    verdict("seven days by the hour", timed(30, board), 20, "ms")
    patience = 60 if LIMITED else 10
    deadline, search = time.monotonic() + patience + count / 20_000, f"spans?project_name=bench&search={NEEDLE}&size=10"
    while time.monotonic() < deadline:
        begun = time.monotonic()
        assert get(search)["total"] == 1
        if time.monotonic() - begun < 0.05:
            break
        time.sleep(0.5)
    verdict("a search for a word in all of them, p99", timed(30, lambda _: fetch(search)), 50, "ms")


server = Server()
time.sleep(3)  # When nothing was asked for a while, not in the midst of the start.
verdict("memory when nothing was asked", server.memory("VmRSS:"), 60, "MB")
sent, traces = fill(server)
told = fill_otlp(server, count // 5)
verdict("memory at most", server.memory("VmHWM:"), 300, "MB")
ask(server, sent, traces)
server.stop()
size = lambda pattern: sum(path.stat().st_size for path in (data / "traces").glob(pattern))
stored = sent + told + 10_100
verdict("stored", size("*.db*") / stored / 1000, 1.2, "KB/span")
print(f"the index of words beside it{size('*.words*') / stored / 1000:>31,.2f} KB/span")
server = Server()
verdict("start with all of it", server.started, 2, "s")
server.stop()
(folder / "server").write_text("")
print("Opik publishes 1,250 rows a second on 90 cores (its documentation on scaling)")
sys.exit(not all(verdicts) and LIMITED)
