"""Runs lm-evaluation-harness against a server: choices scored by likelihood, and answers, over completions and chats.

Arguments: the model's GGUF file (for its tokenizer), the address, a folder to work in. Prints what it found as JSON.
"""

import json
import os
import pathlib
import sys

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false", HF_HOME=sys.argv[3] + "/hf")

import lm_eval
from gguf import GGUFReader
from lm_eval.tasks import TaskManager
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

model_file, address, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])

CHOICES = [
    {"question": "The capital of France is", "choices": ["Paris", "Banana", "Seven"], "answer": 0},
    {"question": "The opposite of hot is", "choices": ["table", "cold", "green"], "answer": 1},
    {"question": "Two plus two is", "choices": ["purple", "house", "four"], "answer": 2},
]


def tokenizer():
    """The file's own tokenizer in the form that the harness reads."""
    fields = GGUFReader(model_file).fields
    texts = lambda name: [bytes(fields[name].parts[place]).decode() for place in fields[name].data]
    tokens, merges = texts("tokenizer.ggml.tokens"), texts("tokenizer.ggml.merges")
    special = {name: tokens[int(fields[f"tokenizer.ggml.{name}_token_id"].parts[-1][0])] for name in ("bos", "eos")}
    vocabulary = {token: place for place, token in enumerate(tokens)}
    own = Tokenizer(models.BPE(vocab=vocabulary, merges=[tuple(merge.split(" ")) for merge in merges]))
    own.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    own.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=own, bos_token=special["bos"], eos_token=special["eos"])
    wrapped.save_pretrained(folder / "tokenizer")


def tasks():
    (folder / "choices.json").write_text("\n".join(map(json.dumps, CHOICES)))
    common = f"dataset_path: json\ndataset_kwargs: {{data_files: {{test: {folder}/choices.json}}}}\ntest_split: test\nnum_fewshot: 0\n"
    (folder / "small_choices.yaml").write_text(
        "task: small_choices\noutput_type: multiple_choice\n" + common
        + "doc_to_text: '{{question}}'\ndoc_to_choice: choices\ndoc_to_target: answer\nmetric_list: [{metric: acc}]\n"
    )
    (folder / "small_answers.yaml").write_text(
        "task: small_answers\noutput_type: generate_until\n" + common
        + "doc_to_text: '{{question}}'\ndoc_to_target: '{{choices[answer]}}'\n"
        + "generation_kwargs: {until: [\"\\n\"], max_gen_toks: 8, temperature: 0}\nmetric_list: [{metric: exact_match}]\n"
    )


def evaluate(model, path, names, **more):
    found = lm_eval.simple_evaluate(
        model=model,
        model_args={
            "model": "chat", "base_url": f"{address}{path}", "tokenizer_backend": "huggingface",
            "tokenizer": str(folder / "tokenizer"), "num_concurrent": 1, "max_length": 512,
        },
        tasks=names, task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        log_samples=True, bootstrap_iters=0, **more,
    )
    return found


def main():
    tokenizer()
    tasks()
    completions = evaluate("local-completions", "/v1/completions", ["small_choices", "small_answers"])
    chats = evaluate("local-chat-completions", "/v1/chat/completions", ["small_answers"], apply_chat_template=True)
    likelihoods = [
        [float(response[0]) for response in sample["filtered_resps"]] for sample in completions["samples"]["small_choices"]
    ]
    print(json.dumps({
        "harness": lm_eval.__version__ if hasattr(lm_eval, "__version__") else "",
        "accuracy": completions["results"]["small_choices"]["acc,none"],
        "likelihoods": likelihoods,
        "answers": [sample["filtered_resps"][0] for sample in completions["samples"]["small_answers"]],
        "chats": [sample["filtered_resps"][0] for sample in chats["samples"]["small_answers"]],
    }))


main()
