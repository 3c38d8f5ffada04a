"""The proxies that are measured: how each is started before the stand-in, and how it is asked."""

import http.client
import json
import os
import pathlib
import socket
import subprocess
import time

LOOPBACK = "127.0.0.1"
NGINX = """
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/n1; proxy_temp_path {folder}/n2; fastcgi_temp_path {folder}/n3;
  uwsgi_temp_path {folder}/n4; scgi_temp_path {folder}/n5;
  keepalive_requests 1000000000;
  upstream standin {{ server {standin}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://standin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""
LITELLM = """
model_list:
  - model_name: bench/bench
    litellm_params: {{model: openai/bench, api_base: "http://{standin}/v1", api_key: none}}
litellm_settings: {{telemetry: false, num_retries: 0}}
general_settings: {{master_key: sk-bench}}
"""


def pinned(core: int) -> list[str]:
    """The words before a command that runs on one core of two, or as it comes on a machine with one."""
    words = ["chrt", "-r", "1"] if os.environ.get("REALTIME") == "1" else []
    return [*words, "taskset", "-c", str(core)] if (os.cpu_count() or 1) > 1 else words


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


class Proxy:
    """A process before the stand-in."""

    name: str
    model = "bench/bench"
    key = "none"
    headers: tuple[str, ...] = ()
    admin = ""

    def __init__(self, folder: pathlib.Path, standin: str):
        self.folder, self.standin = folder, standin
        self.port = free_port()
        self.process: subprocess.Popen | None = None

    def launch(self, command: list[str], **environment: str) -> None:
        with open(self.folder / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                pinned(0) + command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **environment},
            )

    def start(self) -> None:
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it answers a chat request."""
        return self.ask() == 200

    def ask(self) -> int:
        body = json.dumps({"model": self.model, "messages": [{"role": "user", "content": "hello"}]})
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        headers.update(line.split(": ", 1) for line in self.headers)
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=5)
        try:
            connection.request("POST", "/v1/chat/completions", body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def wait(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            if self.answers():
                return True
            time.sleep(0.05)
        return False

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


class Nginx(Proxy):
    name = "nginx"

    def start(self) -> None:
        configuration = self.folder / "nginx.conf"
        configuration.write_text(NGINX.format(folder=self.folder, standin=self.standin, port=self.port))
        self.launch(["nginx", "-c", str(configuration), "-e", str(self.folder / "nginx.log"), "-g", "daemon off;"])


class Stead(Proxy):
    """Stead with keys, rows and the journal; `capture` says which bodies are kept."""

    def __init__(self, folder: pathlib.Path, standin: str, capture: str):
        super().__init__(folder, standin)
        self.name, self.capture = f"stead-{capture}", capture
        self.data, self.binary = folder / self.name, os.environ["STEAD_BINARY"]

    def launch_again(self) -> None:
        self.launch([
            self.binary, "up", "--data", str(self.data), "--listen", f"{LOOPBACK}:{self.port}", "--no-discover",
            "--no-default-model", "--set", f"capture={self.capture}",
        ])

    def start(self) -> None:
        self.launch_again()
        end = time.monotonic() + 30
        while not (self.data / "run/server.json").exists() and time.monotonic() < end:
            time.sleep(0.02)
        add = ["provider", "add", "--private", "--model", "bench", "--url"]
        self.command(*add, f"http://{self.standin}/v1", "--type", "openai-compatible", "bench")
        self.command(*add, f"http://{self.standin}", "--type", "anthropic", "claude", "--key-stdin", text="none\n")
        self.admin = (self.data / "keys/admin.token").read_text().strip()
        self.key = json.loads(self.command("key", "create", "bench", "-o", "json"))["key"]

    def command(self, *words: str, text: str = "") -> str:
        done = subprocess.run(
            [self.binary, "--data", str(self.data), *words], input=text, capture_output=True, text=True, check=False,
        )
        if done.returncode:
            raise RuntimeError(f"stead {' '.join(words)}: {done.stderr}")
        return done.stdout


class LiteLlm(Proxy):
    name, key = "LiteLLM", "sk-bench"

    def start(self) -> None:
        configuration = self.folder / "litellm.yaml"
        configuration.write_text(LITELLM.format(standin=self.standin))
        self.launch(
            [f"{os.environ['PEER_LITELLM']}/bin/litellm", "--config", str(configuration), "--host", LOOPBACK,
             "--port", str(self.port), "--num_workers", "1", "--telemetry", "False"],
            LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_LOG="ERROR",
        )


class Sglang(Proxy):
    name, model = "SGLang router", "bench"

    def start(self) -> None:
        self.launch([
            f"{os.environ['PEER_SGLANG']}/bin/python", "-m", "sglang_router.launch_router", "--worker-urls",
            f"http://{self.standin}", "--host", LOOPBACK, "--port", str(self.port), "--prometheus-port", str(free_port()),
        ])


class Vllm(Proxy):
    name, model = "vLLM router", "bench"

    def start(self) -> None:
        self.launch([
            f"{os.environ['PEER_VLLM']}/bin/vllm-router", "--worker-urls", f"http://{self.standin}", "--host", LOOPBACK,
            "--port", str(self.port), "--prometheus-port", str(free_port()),
        ])


class Portkey(Proxy):
    name, model = "Portkey", "bench"

    def __init__(self, folder: pathlib.Path, standin: str):
        super().__init__(folder, standin)
        self.headers = ("x-portkey-provider: openai", f"x-portkey-custom-host: http://{standin}/v1")

    def start(self) -> None:
        server = f"{os.environ['PEER_PORTKEY']}/node_modules/@portkey-ai/gateway/build/start-server.js"
        self.launch(
            ["node", server, f"--port={self.port}", "--headless"], NODE_ENV="production", TRUSTED_CUSTOM_HOSTS=LOOPBACK,
        )


PEERS = {"PEER_LITELLM": LiteLlm, "PEER_SGLANG": Sglang, "PEER_VLLM": Vllm, "PEER_PORTKEY": Portkey}
