"""Minutes of requests and streams: the memory after the first ones must not grow. Ends with 1 when it does."""

import os
import pathlib
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "gateway"))

from measure import Bench
from proxies import Stead

MINUTES = int(os.environ.get("MINUTES", "10"))
RATE = os.environ.get("RATE", "3000")
# What the memory may be in all, and how much more at the end than at the beginning.
BOUND, GROWTH = 100e6, 1.1


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder))
        stead = Stead(pathlib.Path(folder), bench.standin, "sampled")
        seen = []
        try:
            stead.start()
            for minute in range(MINUTES):
                requests = bench.measure("soak", stead, 64, "--rate", RATE, seconds=45)
                streams = bench.measure("soak streams", stead, 64, "--stream", "fast", seconds=10)
                if requests.get("errors", 1) or streams.get("errors", 1):
                    print(f"requests failed: {requests} {streams}")
                    return 1
                seen.append(max(requests["memory"], streams["memory"]))
                print(f"minute {minute + 1}: {seen[-1] / 1e6:.1f} MB", flush=True)
        finally:
            stead.stop()
            bench.close()
    # The first minute fills caches and pools.
    settled = seen[1:] or seen
    third = max(len(settled) // 3, 1)
    begin, end = statistics.median(settled[:third]), statistics.median(settled[-third:])
    flat = end <= begin * GROWTH
    print(f"from {begin / 1e6:.1f} MB to {end / 1e6:.1f} MB: {'flat' if flat else 'it grows'}; most: {max(seen) / 1e6:.1f} MB")
    return 0 if flat and max(seen) < BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
