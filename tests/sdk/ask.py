"""Asks the model that OPENAI_BASE_URL serves as `chat`, whole and streamed, and prints what came as JSON."""

import json

import openai

client = openai.OpenAI(max_retries=0)
question = {
    "model": "chat",
    "temperature": 0,
    "max_tokens": 32,
    "messages": [{"role": "user", "content": "Tell me the capital of France."}],
}

whole = client.chat.completions.create(**question)
pieces, usage = [], None
for chunk in client.chat.completions.create(**question, stream=True, stream_options={"include_usage": True}):
    usage = chunk.usage or usage
    pieces += [choice.delta.content or "" for choice in chunk.choices]

try:
    client.chat.completions.create(**{**question, "model": "no-such-model"})
    missing = 200
except openai.NotFoundError as error:
    missing = error.status_code


def counts(usage):
    return {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}


print(
    json.dumps(
        {
            "whole": whole.choices[0].message.content,
            "usage": counts(whole.usage),
            "streamed": "".join(pieces),
            "streamedUsage": counts(usage),
            "missing": missing,
            "models": [model.id for model in client.models.list()],
        }
    )
)
