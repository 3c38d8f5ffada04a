//! A small encoder of random weights, in both formats, against plain arithmetic; and files that lie.

#![expect(clippy::cast_precision_loss, reason = "dimensions are small")]

use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Map, Value as Json, json};
use tempfile::NamedTempFile;

use super::{Batch, Config, Encoder};
use crate::{
    error::{Error, Result},
    gguf::Gguf,
    safetensors,
    testing::{FileOf, Item, Written, write},
    text::Words,
};

const WIDTH: usize = 64;
const HIDDEN: usize = 96;
const HEADS: usize = 4;
const LAYERS: usize = 2;
const POSITIONS: usize = 16;
/// As llama.cpp writes them.
const TOKENS: [&str; 9] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁the", "▁cat", "s", "▁sat", "▁.",
];

/// A tensor's names in both formats, its shape, rows first, and its numbers.
struct Tensor {
    gguf: String,
    hf: String,
    shape: Vec<usize>,
    numbers: Vec<f32>,
}

fn tensors() -> Vec<Tensor> {
    let mut random = StdRng::seed_from_u64(7);
    let mut list = Vec::new();
    let mut add = |gguf: String, hf: String, shape: &[usize], around: f32, size: f32| {
        let count: usize = shape.iter().product();
        let numbers = (0..count).map(|_| around + (random.random::<f32>() * 2.0 - 1.0) * size);
        list.push(Tensor {
            gguf,
            hf,
            shape: shape.to_vec(),
            numbers: numbers.collect(),
        });
    };
    for (gguf, hf, rows) in [
        ("token_embd", "word_embeddings", TOKENS.len()),
        ("position_embd", "position_embeddings", POSITIONS),
        ("token_types", "token_type_embeddings", 2),
    ] {
        add(
            format!("{gguf}.weight"),
            format!("embeddings.{hf}.weight"),
            &[rows, WIDTH],
            0.0,
            1.0,
        );
    }
    add(
        "token_embd_norm.weight".into(),
        "embeddings.LayerNorm.weight".into(),
        &[WIDTH],
        1.0,
        0.3,
    );
    add(
        "token_embd_norm.bias".into(),
        "embeddings.LayerNorm.bias".into(),
        &[WIDTH],
        0.0,
        0.3,
    );
    for layer in 0..LAYERS {
        for (gguf, hf, rows, columns) in [
            ("attn_q", "attention.self.query", WIDTH, WIDTH),
            ("attn_k", "attention.self.key", WIDTH, WIDTH),
            ("attn_v", "attention.self.value", WIDTH, WIDTH),
            ("attn_output", "attention.output.dense", WIDTH, WIDTH),
            ("attn_output_norm", "attention.output.LayerNorm", WIDTH, 0),
            ("ffn_up", "intermediate.dense", HIDDEN, WIDTH),
            ("ffn_down", "output.dense", WIDTH, HIDDEN),
            ("layer_output_norm", "output.LayerNorm", WIDTH, 0),
        ] {
            let names = |end: &str| {
                (
                    format!("blk.{layer}.{gguf}.{end}"),
                    format!("encoder.layer.{layer}.{hf}.{end}"),
                )
            };
            let (ours, theirs) = names("weight");
            match columns {
                0 => add(ours, theirs, &[rows], 1.0, 0.3),
                _ => add(ours, theirs, &[rows, columns], 0.0, 0.3),
            }
            let (ours, theirs) = names("bias");
            add(ours, theirs, &[rows], 0.0, 0.3);
        }
    }
    list
}

fn gguf() -> FileOf {
    let mut file = FileOf::default();
    file.set("general.architecture", Item::Text("bert".to_owned()));
    for (key, value) in [
        ("block_count", LAYERS),
        ("context_length", POSITIONS),
        ("embedding_length", WIDTH),
        ("feed_forward_length", HIDDEN),
        ("attention.head_count", HEADS),
        ("pooling_type", 1),
    ] {
        file.set(
            &format!("bert.{key}"),
            Item::Integer(u32::try_from(value).unwrap()),
        );
    }
    file.set("bert.attention.layer_norm_epsilon", Item::Number(1e-12));
    file.set("bert.attention.causal", Item::Bool(false));
    file.set("tokenizer.ggml.model", Item::Text("bert".to_owned()));
    file.set(
        "tokenizer.ggml.tokens",
        Item::Texts(TOKENS.map(str::to_owned).to_vec()),
    );
    for tensor in tensors() {
        let shape = tensor.shape.iter().rev().map(|count| *count as u64).collect();
        file.tensors
            .push((tensor.gguf, shape, Written::F32, tensor.numbers));
    }
    file
}

fn tokenizer_json() -> Json {
    let vocabulary: Map<String, Json> = [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "##s", "sat", ".",
    ]
    .iter()
    .enumerate()
    .map(|(id, token)| ((*token).to_owned(), id.into()))
    .collect();
    let special = |token: &str, id: u32| json!({"id": token, "ids": [id], "tokens": [token]});
    json!({
        "version": "1.0",
        "truncation": {"max_length": 4, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 12}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
            "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[CLS]": special("[CLS]", 2), "[SEP]": special("[SEP]", 3)}},
        "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary},
    })
}

fn packed() -> Vec<u8> {
    let config = json!({"model_type": "bert", "hidden_size": WIDTH, "num_hidden_layers": LAYERS,
        "intermediate_size": HIDDEN, "num_attention_heads": HEADS, "max_position_embeddings": POSITIONS,
        "hidden_act": "gelu", "layer_norm_eps": 1e-12});
    let modules = json!([{"type": "x.Transformer"}, {"type": "x.Pooling"}, {"type": "x.Normalize"}]);
    let mut header = json!({"__metadata__": {
        "config.json": config.to_string(),
        "tokenizer.json": tokenizer_json().to_string(),
        "modules.json": modules.to_string(),
    }});
    let mut data: Vec<u8> = Vec::new();
    for tensor in tensors() {
        let start = data.len();
        data.extend(tensor.numbers.iter().flat_map(|number| number.to_le_bytes()));
        header[tensor.hf] =
            json!({"dtype": "F32", "shape": tensor.shape, "data_offsets": [start, data.len()]});
    }
    let header = header.to_string().into_bytes();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

/// Everything that is done with a file, to the vectors of texts.
fn embed(file: &NamedTempFile, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
    let gguf = if safetensors::is_at(file.path())? {
        safetensors::open(file.path())?
    } else {
        Gguf::open(file.path())?
    };
    let config = Config::read(&gguf)?;
    let words = Words::read(&gguf, config.vocabulary)?;
    let encoder = Encoder::load(&gguf, config, 1)?;
    let tokens = texts
        .iter()
        .map(|text| Ok(words.encode(text, encoder.config.context)?.tokens))
        .collect::<Result<Vec<_>>>()?;
    let mut batch = Batch::default();
    batch.begin(&encoder, tokens.iter().map(Vec::as_slice));
    while batch.advance(&encoder) {}
    Ok(batch.vectors(&encoder))
}

fn cosine(left: &[f32], right: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(left, right) / (dot(left, left) * dot(right, right)).sqrt()
}

/// The same with nothing but loops over the numbers that were written.
struct Plain(Vec<Tensor>);

impl Plain {
    fn get(&self, name: &str) -> &[f32] {
        &self.0.iter().find(|tensor| tensor.gguf == name).unwrap().numbers
    }

    fn row(&self, name: &str, row: usize) -> &[f32] {
        &self.get(name)[row * WIDTH..][..WIDTH]
    }

    fn dense(&self, name: &str, input: &[f32]) -> Vec<f32> {
        let matrix = self.get(&format!("{name}.weight"));
        let products = matrix
            .chunks_exact(input.len())
            .map(|row| row.iter().zip(input).map(|(a, b)| a * b).sum::<f32>());
        let bias = self.get(&format!("{name}.bias"));
        products.zip(bias).map(|(product, bias)| product + bias).collect()
    }

    fn norm(&self, name: &str, row: &mut [f32]) {
        let mean = row.iter().sum::<f32>() / WIDTH as f32;
        let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / WIDTH as f32;
        let (weights, bias) = (
            self.get(&format!("{name}.weight")),
            self.get(&format!("{name}.bias")),
        );
        for (index, value) in row.iter_mut().enumerate() {
            *value = (*value - mean) / variance.sqrt() * weights[index] + bias[index];
        }
    }

    fn attend(&self, layer: usize, states: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let of = |name: &str| -> Vec<Vec<f32>> {
            states
                .iter()
                .map(|state| self.dense(&format!("blk.{layer}.attn_{name}"), state))
                .collect()
        };
        let (queries, keys, values) = (of("q"), of("k"), of("v"));
        let width = WIDTH / HEADS;
        let mut outputs = vec![vec![0.0; WIDTH]; states.len()];
        for (query, output) in queries.iter().zip(&mut outputs) {
            for head in 0..HEADS {
                let span = head * width..(head + 1) * width;
                let scores: Vec<f32> = keys
                    .iter()
                    .map(|key| {
                        let dot: f32 = query[span.clone()]
                            .iter()
                            .zip(&key[span.clone()])
                            .map(|(a, b)| a * b)
                            .sum();
                        (dot / (width as f32).sqrt()).exp()
                    })
                    .collect();
                let total: f32 = scores.iter().sum();
                for (score, value) in scores.iter().zip(&values) {
                    for index in span.clone() {
                        output[index] += score / total * value[index];
                    }
                }
            }
        }
        outputs
    }

    fn embed(&self, tokens: &[usize]) -> Vec<f32> {
        let mut states: Vec<Vec<f32>> = Vec::new();
        for (position, token) in tokens.iter().enumerate() {
            let parts = [
                self.row("token_embd.weight", *token),
                self.row("position_embd.weight", position),
                self.row("token_types.weight", 0),
            ];
            let mut state: Vec<f32> = (0..WIDTH)
                .map(|index| parts.iter().map(|part| part[index]).sum())
                .collect();
            self.norm("token_embd_norm", &mut state);
            states.push(state);
        }
        for layer in 0..LAYERS {
            let attended = self.attend(layer, &states);
            for (state, attended) in states.iter_mut().zip(attended) {
                let add =
                    |state: &mut [f32], more: &[f32]| state.iter_mut().zip(more).for_each(|(a, b)| *a += b);
                add(state, &self.dense(&format!("blk.{layer}.attn_output"), &attended));
                self.norm(&format!("blk.{layer}.attn_output_norm"), state);
                let mut inner = self.dense(&format!("blk.{layer}.ffn_up"), state);
                for x in &mut inner {
                    // The approximation by tanh, so that it is not the same code again.
                    *x *= 0.5 * (1.0 + (0.797_884_6 * (*x + 0.044_715 * x.powi(3))).tanh());
                }
                add(state, &self.dense(&format!("blk.{layer}.ffn_down"), &inner));
                self.norm(&format!("blk.{layer}.layer_output_norm"), state);
            }
        }
        (0..WIDTH)
            .map(|index| states.iter().map(|state| state[index]).sum())
            .collect()
    }
}

#[test]
fn vectors_are_those_of_plain_arithmetic_in_both_formats() {
    let plain = Plain(tensors());
    let texts = ["The cats sat.", "dog", ""];
    let tokens: [&[usize]; 3] = [&[2, 4, 5, 6, 7, 8, 3], &[2, 1, 3], &[2, 3]];
    let of_gguf = embed(&gguf().write(), &texts).unwrap();
    let of_safetensors = embed(&write(&packed()), &texts).unwrap();
    assert_eq!(of_gguf, of_safetensors);
    for ((vector, tokens), text) in of_gguf.iter().zip(tokens).zip(texts) {
        let similar = cosine(vector, &plain.embed(tokens));
        assert!(similar > 0.999, "{text}: {similar}");
        let length: f32 = vector.iter().map(|number| number * number).sum();
        assert!((length - 1.0).abs() < 1e-4, "{text}: {length}");
    }
}

#[test]
fn a_text_has_the_same_vector_alone_and_in_a_batch() {
    let file = gguf().write();
    let together = embed(&file, &["the cat", "sat . sat . sat", "cats"]).unwrap();
    for (text, vector) in ["the cat", "sat . sat . sat", "cats"].iter().zip(together) {
        assert_eq!(embed(&file, &[text]).unwrap(), [vector], "{text}");
    }
}

#[test]
fn the_first_state_is_the_vector_where_the_file_says_so() {
    let mut file = gguf();
    let mean = embed(&file.write(), &["the cat"]).unwrap();
    file.set("bert.pooling_type", Item::Integer(2));
    let first = embed(&file.write(), &["the cat"]).unwrap();
    assert!(cosine(&mean[0], &first[0]) < 0.999);
    file.set("bert.pooling_type", Item::Integer(3));
    assert!(matches!(
        embed(&file.write(), &["the cat"]),
        Err(Error::Unsupported(_))
    ));
}

#[test]
fn texts_beyond_the_limit_are_cut_in_both_formats() {
    let files = [gguf().write(), write(&packed())];
    let opened = [
        Gguf::open(files[0].path()).unwrap(),
        safetensors::open(files[1].path()).unwrap(),
    ];
    for file in &opened {
        let words = Words::read(file, TOKENS.len()).unwrap();
        for (text, tokens, cut) in [
            ("the cat sat", &[2, 4, 5, 7, 3][..], false),
            ("the cat sat   ", &[2, 4, 5, 7, 3], false),
            ("the cat sat the cat", &[2, 4, 5, 7, 3], true),
            (&"cat ".repeat(100_000), &[2, 5, 5, 5, 3], true),
            (&format!("{}cat", " ".repeat(200_000)), &[2, 5, 3], false),
        ] {
            let encoded = words.encode(text, 5).unwrap();
            assert_eq!((encoded.tokens.as_slice(), encoded.cut), (tokens, cut));
        }
    }
    assert!(embed(&files[0], &[&"cat ".repeat(100)]).is_ok());
}

/// What `change` makes of the header of a whole file is refused with words that have `told` among them.
fn refused_with(change: impl Fn(&mut Json), told: &str) {
    let whole = packed();
    let (length, rest) = whole.split_at(8);
    let length = usize::try_from(u64::from_le_bytes(length.try_into().unwrap())).unwrap();
    let mut header: Json = serde_json::from_slice(&rest[..length]).unwrap();
    change(&mut header);
    let header = header.to_string().into_bytes();
    let bytes = [&(header.len() as u64).to_le_bytes()[..], &header, &rest[length..]].concat();
    let error = embed(&write(&bytes), &["the"]).unwrap_err().to_string();
    assert!(error.contains(told), "{told}: {error}");
}

#[test]
fn shapes_and_numbers_that_disagree_are_told_and_cost_nothing() {
    let set = |key: &'static str, value: Json| {
        move |header: &mut Json| {
            let text = header["__metadata__"]["config.json"].as_str().unwrap();
            let mut config: Json = serde_json::from_str(text).unwrap();
            config[key] = value.clone();
            header["__metadata__"]["config.json"] = config.to_string().into();
        }
    };
    for (key, value, told) in [
        ("hidden_size", json!(128), "instead of 128 × 128"),
        (
            "hidden_size",
            json!(1 << 30),
            "`bert.embedding_length` is 1073741824",
        ),
        ("hidden_size", json!(0), "`bert.embedding_length` is 0"),
        ("hidden_size", json!(-1), "has no `hidden_size`"),
        ("intermediate_size", json!(192), "instead of 192"),
        ("num_hidden_layers", json!(3), "no tensor `blk.2."),
        ("num_hidden_layers", json!(1 << 20), "contradict each other"),
        (
            "num_hidden_layers",
            json!(u64::MAX),
            "`bert.block_count` is 18446744073709551615",
        ),
        ("num_attention_heads", json!(3), "contradict each other"),
        ("num_attention_heads", json!(64), "no multiples of"),
        (
            "vocab_size",
            json!(30_522),
            "has 30522 tokens, and its embedding 9",
        ),
        ("max_position_embeddings", json!(2), "contradict each other"),
        ("layer_norm_eps", json!(2.0), "epsilon"),
        ("model_type", json!("t5"), "`t5`"),
        ("hidden_act", json!("relu"), "activation"),
        ("position_embedding_type", json!("relative_key"), "positions"),
    ] {
        refused_with(set(key, value), told);
    }
    refused_with(
        |header| {
            header["embeddings.LayerNorm.bias"]["data_offsets"] = json!([1_u64 << 40, (1_u64 << 40) + 256]);
        },
        "ends before",
    );
    refused_with(
        |header| header["__metadata__"]["tokenizer.json"] = json!("{}"),
        "tokenizer",
    );
    refused_with(
        |header| header["__metadata__"]["config.json"] = json!("{"),
        "config.json",
    );
}

#[test]
fn what_is_missing_beside_the_weights_is_told() {
    let whole = packed();
    for name in ["config.json", "tokenizer.json"] {
        let mut bytes = whole.clone();
        let place = bytes
            .windows(name.len())
            .position(|part| part == name.as_bytes())
            .unwrap();
        bytes[place] = b'x';
        let error = embed(&write(&bytes), &["the"]).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn truncated_files_are_refused_wherever_they_end() {
    for bytes in [packed(), gguf().bytes()] {
        for end in (0..bytes.len()).step_by(1999).chain([bytes.len() - 40]) {
            assert!(
                matches!(embed(&write(&bytes[..end]), &["the"]), Err(Error::Damaged(_))),
                "{end}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn damaged_headers_never_cause_a_panic(places in prop::collection::vec((0_usize..6000, any::<u8>()), 1..6), which: bool) {
        let mut bytes = if which { packed() } else { gguf().bytes() };
        for (place, byte) in places {
            bytes[place] = byte;
        }
        embed(&write(&bytes), &["The cats sat."]).ok();
    }
}
