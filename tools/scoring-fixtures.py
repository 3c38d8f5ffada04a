#!/usr/bin/env python3
"""Writes crates/scoring/tests/fixtures/reference.json: what the reference implementations of metrics give.

Run it in an environment of its own, and only when a case is added; the file that it writes is what the tests read:

    python3 -m venv V && V/bin/pip install sacrebleu==2.6.0 rouge-score==0.1.2 opik==2.2.122 transformers==4.57.1
    V/bin/python tools/scoring-fixtures.py > crates/scoring/tests/fixtures/reference.json
"""

import json
import logging
import math
import random
import sys
import types

logging.disable(logging.CRITICAL)

import sacrebleu
from opik.evaluation import metrics
from opik.evaluation.metrics.llm_judges.answer_relevance import parser as relevance
from opik.evaluation.metrics.llm_judges.context_precision import parser as precision
from opik.evaluation.metrics.llm_judges.context_recall import parser as recall
from opik.evaluation.metrics.llm_judges.g_eval import parser as g_eval
from opik.evaluation.metrics.llm_judges.hallucination import parser as hallucination
from rouge_score import rouge_scorer
from transformers.data.metrics import squad_metrics

# (output, references)
PAIRS = [
    ("the cat sat on the mat", ["the cat sat on the mat"]),
    ("the cat is on the mat", ["the cat sat on the mat", "there is a cat on the mat"]),
    ("The Cat, sat on the mat.", ["the cat sat on the mat"]),
    ("the the the the the the the", ["The cat is on the mat.", "There is a cat on the mat."]),
    ("It is a guide to action which ensures that the military always obeys the commands of the party.",
     ["It is a guide to action that ensures that the military will forever heed Party commands.",
      "It is the guiding principle which guarantees the military forces always being under the command of the Party.",
      "It is the practical guide for the army always to heed the directions of the party."]),
    ("It is to insure the troops forever hearing the activity guidebook that party direct.",
     ["It is a guide to action that ensures that the military will forever heed Party commands."]),
    ("Paris", ["Paris"]),
    ("Paris", ["paris is the capital of France"]),
    ("", ["something"]),
    ("something", [""]),
    ("   ", ["  "]),
    ("completely different words here", ["nothing in common at all today"]),
    ("a b", ["b a"]),
    ("police killed the gunman", ["police kill the gunman", "the gunman police killed"]),
    ("the gunman kill police", ["police killed the gunman"]),
    ("In 1999, he paid $1,234.56 (or so) - 12-15 times.", ["In 1999 he paid $1,234.56, or so; 12-15 times!"]),
    ("say &quot;hello&quot; &amp; &lt;wave&gt;", ["say \"hello\" & <wave>"]),
    ("first line\nsecond line", ["first line second line"]),
    ("well-\nknown example", ["wellknown example"]),
    ("Zürich, Genève und Übersee: schön!", ["Zürich, Genf und Übersee sind schön."]),
    ("東京は日本の首都です", ["東京は日本の首都である"]),
    ("привет мир", ["Привет, мир!"]),
    ("emoji 😀 stays 😀", ["emoji 😀 stays"]),
    ("don't stop, can't stop", ["do not stop; can't stop"]),
    ("x86_64 and C++ vs. C#", ["x86-64, C++ and C#"]),
    ("one two three four five six seven eight nine ten", ["one two three four five"]),
    ("one two three", ["one two three four five six seven eight nine ten"]),
    ("An answer. The answer! A final answer?", ["the final answer"]),
    ("İstanbul", ["istanbul"]),
    ("Straße", ["STRASSE"]),
    ("tab\tseparated\u00a0values\u2003here", ["tab separated values here"]),
]

WORDS = "alpha beta gamma delta the a of to model answer, question. 42 3.14 x-ray it's (maybe) yes! no? The AND".split()


def random_pairs(count):
    chance = random.Random(20260101)
    for _ in range(count):
        output = " ".join(chance.choice(WORDS) for _ in range(chance.randint(1, 24)))
        references = [
            " ".join(chance.choice(WORDS) for _ in range(chance.randint(1, 24)))
            for _ in range(chance.randint(1, 3))
        ]
        yield output, references


def text_cases():
    bleu = sacrebleu.metrics.BLEU(effective_order=True)
    lowered = sacrebleu.metrics.BLEU(effective_order=True, lowercase=True)
    rouge = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    for output, references in [*PAIRS, *random_pairs(60)]:
        scores = rouge.score_multi(references, output)
        first = references[0]
        yield {
            "output": output,
            "references": references,
            "bleu": bleu.sentence_score(output, references).score / 100,
            "bleu_lower": lowered.sentence_score(output, references).score / 100,
            **{name: [value.precision, value.recall, value.fmeasure] for name, value in scores.items()},
            "token_f1": max(squad_metrics.compute_f1(reference, output) for reference in references),
            "equals": metrics.Equals(track=False).score(output, first).value,
            "equals_case": metrics.Equals(case_sensitive=True, track=False).score(output, first).value,
            "contains": metrics.Contains(track=False).score(output, first).value if first else None,
            "levenshtein": metrics.LevenshteinRatio(track=False).score(output, first).value,
            "levenshtein_case": metrics.LevenshteinRatio(case_sensitive=True, track=False).score(output, first).value,
        }


def corpus_cases():
    for seed in range(6):
        pairs = list(random_pairs(5 + seed))[seed:]
        outputs = [output for output, _ in pairs]
        firsts = [references[0] for _, references in pairs]
        yield {
            "outputs": outputs,
            "references": firsts,
            "bleu": sacrebleu.metrics.BLEU().corpus_score(outputs, [firsts]).score / 100,
        }


def regex_cases():
    for pattern, output in [
        (r"\d{3}-\d{2}-\d{4}", "My SSN is 123-45-6789"),
        (r"\d{3}-\d{2}-\d{4}", "My phone is 555-1234"),
        (r"^yes", "Yes"),
        (r"(?i)^yes", "Yes"),
        (r"a.c", "a\nc"),
        (r"end$", "the end"),
        (r"", ""),
    ]:
        value = metrics.RegexMatch(pattern, track=False).score(output).value
        yield {"pattern": pattern, "output": output, "value": value}


PARSERS = {
    "hallucination": (hallucination.parse_model_output, "score"),
    "answer-relevance": (relevance.parse_model_output, "answer_relevance_score"),
    "context-precision": (precision.parse_model_output, "context_precision_score"),
    "context-recall": (recall.parse_model_output, "context_recall_score"),
    "g-eval": (g_eval.parse_model_output_string, "score"),
}

SHAPES = [
    '{"KEY": 0.7, "reason": "fine"}',
    '{"KEY": 1, "reason": "fine"}',
    '{"KEY": "0.25", "reason": "a number as text"}',
    'Here it is:\n```json\n{"KEY": 0.5, "reason": "fenced"}\n```',
    '{"KEY": 0.5, "reason": "first"}\n{"KEY": 0.9, "reason": "second"}',
    '{"KEY": 7, "reason": "large"}',
    '{"KEY": 11, "reason": "too large"}',
    '{"KEY": -0.1, "reason": "too small"}',
    '{"KEY": null, "reason": "nothing"}',
    '{"KEY": 0.5}',
    '{"reason": "no score"}',
    "no JSON at all",
    "",
    "[1, 2]",
    '{"KEY": 0.5, "reason": "braces } in { it"}',
    '{"KEY": 0.3, "reason": "cut',
]


def judge_cases():
    for name, (parse, key) in PARSERS.items():
        for shape in SHAPES:
            content = shape.replace("KEY", key)
            try:
                result = parse(content, name)
                yield {"judge": name, "content": content, "value": result.value, "reason": result.reason}
            except Exception:
                yield {"judge": name, "content": content, "value": None, "reason": None}
    content = '{"score": 0.4, "reason": ["one", "two"]}'
    result = hallucination.parse_model_output(content, "hallucination")
    yield {"judge": "hallucination", "content": content, "value": result.value, "reason": result.reason}


def weighted_cases():
    """G-Eval's score as the expectation over the likely tokens of the score."""

    def entry(token, candidates=None):
        candidates = candidates or {token: 0.9}
        return {
            "token": token,
            "logprob": -0.1,
            "top_logprobs": [{"token": text, "logprob": math.log(p)} for text, p in candidates.items()],
        }

    streams = [
        [entry('{"'), entry("score"), entry('":'), entry("8", {"8": 0.6, "7": 0.3, "9": 0.1}), entry(', "reason": "ok"}')],
        [entry('{"'), entry("score"), entry('": '), entry("1", {"1": 0.8, "9": 0.2}), entry("0", {"0": 0.7, ",": 0.3}), entry(', "reason": "ok"}')],
        [entry('{"'), entry("reason"), entry('":"'), entry('ok","'), entry("score"), entry('":'), entry(" 10", {" 10": 0.5, " 9": 0.25, " x": 0.25}), entry("}")],
        [entry('{"'), entry("score"), entry('":'), entry("5", {"5": 0.5, "50": 0.2, "4": 0.3}), entry(', "reason": "ok"}')],
        [entry('{"'), entry("score"), entry('":'), entry("6", {"six": 0.9}), entry(', "reason": "ok"}')],
    ]
    for stream in streams:
        text = "".join(item["token"] for item in stream)
        choice = {"message": {"content": text}, "logprobs": {"content": stream}}
        response = types.SimpleNamespace(choices=[choice])
        result = g_eval.parse_litellm_model_output(response, "g-eval", log_probs_supported=True)
        yield {"choice": choice, "value": result.value}


json.dump(
    {
        "versions": {"sacrebleu": sacrebleu.__version__, "rouge_score": "0.1.2", "opik": "2.2.122"},
        "texts": list(text_cases()),
        "corpora": list(corpus_cases()),
        "regexes": list(regex_cases()),
        "judgements": list(judge_cases()),
        "weighted": list(weighted_cases()),
    },
    sys.stdout,
    ensure_ascii=False,
    indent=1,
)
print()
