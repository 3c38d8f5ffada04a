"""Answers as ClickHouse's HTTP interface does, over chDB (ClickHouse embedded), for tests.

    chdb-server.py FOLDER [PORT] [USER PASSWORD]

Prints `listening on PORT` and answers until it is killed. Understood are what https://clickhouse.com/docs/interfaces/http
says of: `GET /ping`; `POST /` with the statement in `query`, in the body, or split between them; settings in
the query string; `X-ClickHouse-User`, `-Key` and `-Database`; and, where something fails, status 4xx or 5xx with
`X-ClickHouse-Exception-Code` and a text.
"""

import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from chdb import session

folder = sys.argv[1]
port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
user, password = (sys.argv[3], sys.argv[4]) if len(sys.argv) > 4 else ("default", "")
engine = session.Session(folder)
one_at_a_time = threading.Lock()
# What says how the answer is sent, not how it is found.
OF_HTTP = {"wait_end_of_query", "buffer_size", "compress", "query_id"}
STATUS = {"516": 403, "497": 403, "193": 401, "60": 404, "81": 404, "202": 500, "241": 500}


def literal(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0") + "'"


def run(statement, data, settings, database):
    with one_at_a_time:
        engine.query("USE " + (database or "default"))
        if data:
            before, _, after = statement.rpartition(" FORMAT ")
            names = ", ".join(f"{name}={literal(value)}" for name, value in settings.items())
            statement = f"{before} SETTINGS {names} FORMAT {after} " if names else statement + " "
            return engine.query(statement + data.decode(), "JSONEachRow").bytes() or b""
        if settings and statement.lstrip()[:6].upper() == "SELECT":
            names = ", ".join(f"{name}={literal(value)}" for name, value in settings.items())
            statement = f"{statement} SETTINGS {names}"
        return engine.query(statement, "JSONEachRow").bytes() or b""


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def fail(self, code, text):
        headers = [("X-ClickHouse-Exception-Code", code)]
        self.reply(STATUS.get(code, 400 if code == "62" else 500), text.encode(), headers)

    def do_GET(self):
        if urlsplit(self.path).path == "/ping":
            self.reply(200, b"Ok.\n")
        else:
            self.fail("164", "Code: 164. DB::Exception: over GET nothing is changed. (READONLY)")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(iter(self.chunk, b""))
            self.rfile.readline()
        told = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        given = (self.headers.get("X-ClickHouse-User", "default"), self.headers.get("X-ClickHouse-Key", ""))
        if given != (user, password):
            self.fail("516", f"Code: 516. DB::Exception: {given[0]}: Authentication failed. (AUTHENTICATION_FAILED)")
            return
        statement = told.pop("query", "")
        database = told.pop("database", self.headers.get("X-ClickHouse-Database", ""))
        settings = {name: value for name, value in told.items() if name not in OF_HTTP}
        if not statement:
            statement, body = body.decode(), b""
        statement = re.sub(r"\s+FORMAT JSONEachRow\s*$", "", statement) if not body else statement
        try:
            self.reply(200, run(statement, body, settings, database))
        except Exception as error:  # noqa: BLE001: whatever it is, it is said
            text = str(error)
            code = re.search(r"Code: (\d+)", text)
            self.fail(code[1] if code else "1000", text)

    def chunk(self):
        length = int(self.rfile.readline().split(b";")[0], 16)
        data = self.rfile.read(length)
        if length:
            self.rfile.readline()
        return data


server = ThreadingHTTPServer(("127.0.0.1", port), Answer)
server.daemon_threads = True
print(f"listening on {server.server_port}", flush=True)
server.serve_forever()
