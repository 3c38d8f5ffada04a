"""Talks with `p/m` over OpenAI's realtime API, synchronously and not, and prints what came as JSON lines.

Variables: STEAD_URL, the address without a path; STEAD_KEY, an API key. The provider behind `p/m` says "Paris" in the
two pieces "Par" and "is".
"""

import asyncio
import json
import os

from openai import AsyncOpenAI, OpenAI

OPTIONS = {"base_url": f"{os.environ['STEAD_URL']}/v1", "api_key": os.environ["STEAD_KEY"], "max_retries": 0}
SESSION = {"type": "realtime", "output_modalities": ["text"], "instructions": "Answer in one word."}
ITEM = {
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": "What is the capital of France?"}],
}


class Seen:
    def __init__(self):
        self.types, self.text, self.usage = [], "", None

    def take(self, event):
        self.types.append(event.type)
        if event.type == "response.output_text.delta":
            self.text += event.delta
        if event.type == "response.done":
            usage = event.response.usage
            self.usage = [usage.input_tokens, usage.output_tokens]
        return event.type == "response.done"

    def tell(self, how):
        print(json.dumps({"how": how, "types": self.types, "text": self.text, "usage": self.usage}))


def waits():
    seen = Seen()
    with OpenAI(**OPTIONS).realtime.connect(model="p/m") as connection:
        connection.session.update(session=SESSION)
        connection.conversation.item.create(item=ITEM)
        connection.response.create()
        for event in connection:
            if seen.take(event):
                break
    seen.tell("sync")


async def awaits():
    seen = Seen()
    async with AsyncOpenAI(**OPTIONS).realtime.connect(model="p/m") as connection:
        await connection.session.update(session=SESSION)
        await connection.conversation.item.create(item=ITEM)
        await connection.response.create()
        async for event in connection:
            if seen.take(event):
                break
    seen.tell("async")


waits()
asyncio.run(awaits())
