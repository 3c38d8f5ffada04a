"""The spans of the benchmark: 2.2 KB of JSON each, in traces of ten, the same every time but for ids and times."""

import json
import random
import time

chance = random.Random(1)
words = [f"word{number}" for number in range(5000)]


def uuid7():
    millis = time.time_ns() // 1_000_000
    value = millis << 80 | 7 << 76 | chance.getrandbits(12) << 64 | 2 << 62 | chance.getrandbits(62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def sentence(length):
    return " ".join(chance.choices(words, k=length))


def when(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{chance.randrange(10**6):06d}Z"


def span(trace, parent, back):
    """One span that began `back` seconds ago."""
    began = time.time() - back
    return {
        "id": uuid7(), "trace_id": trace, "parent_span_id": parent, "project_name": "bench", "name": "call", "type": "llm",
        "start_time": when(began), "end_time": when(began + chance.uniform(1, 3)),
        "input": {"messages": [{"role": "user", "content": sentence(90)}]}, "output": {"content": sentence(90)},
        "metadata": {"temperature": 0.5, "session": sentence(15)}, "model": chance.choice(["gpt-4o-mini", "gpt-4o"]),
        "provider": "openai", "usage": {"prompt_tokens": 100, "completion_tokens": 120, "total_tokens": 220},
        "tags": ["bench"], "source": "sdk", "last_updated_at": when(began + 3),
    }


def batch(count, back, size=10):
    """So many spans in traces of `size`."""
    spans = []
    while len(spans) < count:
        trace, root = uuid7(), None
        for _ in range(size):
            spans.append(span(trace, root, back))
            root = root or spans[-1]["id"]
    return spans


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, value):
    """A field of protobuf (https://protobuf.dev/programming-guides/encoding/): bytes and texts with their length, else a varint."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def attribute(key, value):
    return field(1, key) + field(2, field(3 if isinstance(value, int) else 1, value))


def otlp(count, back, size=10):
    """So many spans of the same content as an ExportTraceServiceRequest, and the hex id of the last trace
    (https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto)."""
    spans = []
    for _ in range(count // size):
        trace, root = chance.randbytes(16), b""
        for _ in range(size):
            one = chance.randbytes(8)
            began = int((time.time() - back) * 10**9)
            message = lambda role: json.dumps([{"role": role, "parts": [{"type": "text", "content": sentence(90)}]}])
            told = {
                "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": chance.choice(["gpt-4o-mini", "gpt-4o"]),
                "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 120, "gen_ai.input.messages": message("user"),
                "gen_ai.output.messages": message("assistant"), "session": sentence(15),
            }
            text = field(1, trace) + field(2, one) + (field(4, root) if root else b"") + field(5, "call") + field(6, 3)
            text += varint(7 << 3 | 1) + began.to_bytes(8, "little") + varint(8 << 3 | 1) + (began + 2 * 10**9).to_bytes(8, "little")
            text += b"".join(field(9, attribute(key, value)) for key, value in told.items())
            spans.append(field(2, text))
            root = root or one
    resource = field(1, field(1, attribute("service.name", "bench")))
    return field(1, resource + field(2, b"".join(spans))), trace.hex()
