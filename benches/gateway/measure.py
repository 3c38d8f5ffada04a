"""Runs the measurements of benches/gateway/run.sh and writes one line of JSON for each."""

import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import time

from proxies import PEERS, Nginx, Proxy, Stead, pinned

ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECONDS = float(os.environ.get("SECONDS_EACH", "3"))
IDLE_STREAMS = 10_000
STARTS = 5


class Bench:
    """The stand-in with the load, and what was measured."""

    def __init__(self, folder: pathlib.Path):
        self.results = open(folder / "results", "w")
        self.load = subprocess.Popen(
            pinned(1) + [os.environ["BENCH_LOAD"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )
        self.standin = self.load.stdout.readline().strip()

    def measure(
        self, name: str, proxy: Proxy | None, connections: int, *words: str, seconds: float = SECONDS, variant: str = "",
    ) -> dict:
        """One measurement, through a proxy or not."""
        address, key = self.standin, "none"
        arguments = [*words]
        if proxy is not None:
            address, key = f"127.0.0.1:{proxy.port}", proxy.key
            arguments += ["--pid", str(proxy.process.pid), *(["--admin", proxy.admin] if proxy.admin else [])]
            arguments += [word for line in proxy.headers for word in ("--header", line)]
            if "--model" not in words:
                arguments += ["--model", proxy.model]
        print("\t".join([address, key, str(connections), str(seconds), *arguments]), file=self.load.stdin, flush=True)
        answer = self.load.stdout.readline()
        if not answer:
            raise RuntimeError("the load ended")
        result = json.loads(answer)
        self.write(variant or (proxy.name if proxy else "direct"), name, result)
        return result

    def write(self, variant: str, name: str, result: dict) -> None:
        print(f"  {variant}: {name}", file=sys.stderr)
        print(json.dumps({"variant": variant, "name": name, "result": result}), file=self.results, flush=True)

    def close(self) -> None:
        self.load.stdin.close()
        self.load.wait(10)
        self.results.close()


def memory(pid: int) -> int:
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) << 10


def round_of(bench: Bench, proxies: list[Proxy | None]) -> None:
    for proxy in proxies:
        bench.measure("full", proxy, 32)
        bench.measure("steady", proxy, 16, "--rate", "500")
        bench.measure("stream", proxy, 16, "--stream", "fast")
        if proxy is None or proxy.name in ("nginx", "stead-sampled"):
            bench.measure("paced", proxy, 200, "--stream", "paced")
        if proxy is not None and proxy.name == "stead-sampled":
            claude = ("--model", "claude/bench")
            bench.measure("full", proxy, 32, *claude, variant="stead-translated")
            bench.measure("stream", proxy, 16, "--stream", "fast", *claude, variant="stead-translated")


def peers(bench: Bench, folder: pathlib.Path) -> None:
    for variable, kind in PEERS.items():
        if variable not in os.environ:
            continue
        proxy = kind(folder, bench.standin)
        try:
            proxy.start()
            if proxy.wait(60):
                bench.measure("full", proxy, 32, seconds=min(SECONDS, 3))
            else:
                log = folder / f"{proxy.name}.log"
                print(f"{proxy.name} does not answer: it is left out\n{log.read_text()[-800:]}", file=sys.stderr)
        finally:
            proxy.stop()


def starts(bench: Bench, stead: Stead) -> None:
    """From the start of the process to the answer of a request to a model, with the data of before."""
    for number in range(STARTS):
        began = time.monotonic()
        stead.launch_again()
        while stead.ask() != 200 and time.monotonic() - began < 10:
            time.sleep(0.001)
        bench.write("stead-sampled", "start", {"errors": 0, "ms": (time.monotonic() - began) * 1000})
        if number + 1 < STARTS:
            stead.stop()


def idle_streams() -> int:
    """Lets processes open the files that idle streams need; returns how many streams these are for."""
    # Both ends of every stream are files of the load; of the proxy, too.
    wanted = 2 * IDLE_STREAMS + 1_000
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, most)))
        return IDLE_STREAMS
    except (ValueError, PermissionError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        return min(IDLE_STREAMS, (most - 400) // 2)


def main(folder: pathlib.Path) -> None:
    streams = idle_streams()
    bench = Bench(folder)
    steads = [Stead(folder, bench.standin, capture) for capture in ("sampled", "full")]
    proxies: list[Proxy | None] = [None, *([Nginx(folder, bench.standin)] if shutil.which("nginx") else []), *steads]
    try:
        for proxy in proxies[1:]:
            proxy.start()
            if not proxy.wait(30):
                raise RuntimeError(f"{proxy.name} does not answer: {(folder / f'{proxy.name}.log').read_text()}")
        for number in range(ROUNDS):
            print(f"round {number + 1} of {ROUNDS}", file=sys.stderr)
            round_of(bench, proxies)
        steads[0].stop()
        starts(bench, steads[0])
        time.sleep(3)
        bench.write("stead-sampled", "idle", {"errors": 0, "memory": memory(steads[0].process.pid)})
        bench.measure("silent", steads[0], streams, "--stream", "silent", seconds=2)
        for proxy in proxies[1:]:
            proxy.stop()
        peers(bench, folder)
    finally:
        for proxy in proxies[1:]:
            proxy.stop()
        bench.close()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
