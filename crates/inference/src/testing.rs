//! Small GGUF files of random weights, for tests.

use std::io::Write as _;

use half::f16;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tempfile::NamedTempFile;

/// A value to write.
pub(crate) enum Item {
    Integer(u32),
    Number(f32),
    Text(String),
    Texts(Vec<String>),
    Integers(Vec<i32>),
    Numbers(Vec<f32>),
    Bool(bool),
}

/// How a tensor is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Written {
    F32,
    F16,
    Q8,
    Q4,
}

/// A GGUF file in the making.
#[derive(Default)]
pub(crate) struct FileOf {
    pub(crate) metadata: Vec<(String, Item)>,
    pub(crate) tensors: Vec<(String, Vec<u64>, Written, Vec<f32>)>,
}

impl FileOf {
    pub(crate) fn set(&mut self, key: &str, item: Item) {
        self.metadata.retain(|(known, _)| known != key);
        self.metadata.push((key.to_owned(), item));
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut header = b"GGUF".to_vec();
        header.extend(3_u32.to_le_bytes());
        header.extend((self.tensors.len() as u64).to_le_bytes());
        header.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, item) in &self.metadata {
            text(&mut header, key);
            write_item(&mut header, item);
        }
        let mut data = Vec::new();
        for (name, shape, written, numbers) in &self.tensors {
            text(&mut header, name);
            header.extend(u32::try_from(shape.len()).unwrap().to_le_bytes());
            for dimension in shape {
                header.extend(dimension.to_le_bytes());
            }
            header.extend(number_of(*written).to_le_bytes());
            header.extend((data.len() as u64).to_le_bytes());
            data.extend(encode(*written, numbers));
            data.resize(data.len().next_multiple_of(32), 0);
        }
        header.resize(header.len().next_multiple_of(32), 0);
        header.extend(data);
        header
    }

    pub(crate) fn write(&self) -> NamedTempFile {
        write(&self.bytes())
    }
}

pub(crate) fn write(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

fn write_item(bytes: &mut Vec<u8>, item: &Item) {
    let list = |bytes: &mut Vec<u8>, kind: u32, count: usize| {
        bytes.extend(9_u32.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend((count as u64).to_le_bytes());
    };
    match item {
        Item::Integer(value) => {
            bytes.extend(4_u32.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        Item::Number(value) => {
            bytes.extend(6_u32.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        Item::Bool(value) => {
            bytes.extend(7_u32.to_le_bytes());
            bytes.push((*value).into());
        }
        Item::Text(value) => {
            bytes.extend(8_u32.to_le_bytes());
            text(bytes, value);
        }
        Item::Texts(values) => {
            list(bytes, 8, values.len());
            for value in values {
                text(bytes, value);
            }
        }
        Item::Integers(values) => {
            list(bytes, 5, values.len());
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
        Item::Numbers(values) => {
            list(bytes, 6, values.len());
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
    }
}

fn number_of(written: Written) -> u32 {
    match written {
        Written::F32 => 0,
        Written::F16 => 1,
        Written::Q4 => 3,
        Written::Q8 => 8,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounded to what a byte holds"
)]
fn encode(written: Written, numbers: &[f32]) -> Vec<u8> {
    let blocks = numbers.as_chunks::<32>().0;
    match written {
        Written::F32 => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
        Written::F16 => numbers
            .iter()
            .flat_map(|number| f16::from_f32(*number).to_le_bytes())
            .collect(),
        Written::Q8 => blocks
            .iter()
            .flat_map(|block| {
                let largest = block
                    .iter()
                    .fold(0.0_f32, |largest, number| largest.max(number.abs()));
                let scale = f16::from_f32(largest / 127.0);
                let quants = block.map(|number| ((number / scale.to_f32()).round() as i8).cast_unsigned());
                scale.to_le_bytes().into_iter().chain(quants)
            })
            .collect(),
        Written::Q4 => blocks
            .iter()
            .flat_map(|block| {
                let least = block.iter().copied().fold(f32::MAX, f32::min);
                let most = block.iter().copied().fold(f32::MIN, f32::max);
                let (scale, least) = (f16::from_f32((most - least) / 15.0), f16::from_f32(least));
                let quants = block.map(|number| {
                    ((number - least.to_f32()) / scale.to_f32())
                        .round()
                        .clamp(0.0, 15.0) as u8
                });
                let packed: Vec<u8> = (0..16)
                    .map(|index| quants[index] | quants[index + 16] << 4)
                    .collect();
                scale
                    .to_le_bytes()
                    .into_iter()
                    .chain(least.to_le_bytes())
                    .chain(packed)
            })
            .collect(),
    }
}

/// Where an architecture's shape differs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shape {
    pub(crate) architecture: &'static str,
    pub(crate) head_width: usize,
    pub(crate) bias: bool,
    pub(crate) head_norm: bool,
    pub(crate) own_output: bool,
    pub(crate) written: Written,
}

pub(crate) const LLAMA: Shape = Shape {
    architecture: "llama",
    head_width: 16,
    bias: false,
    head_norm: false,
    own_output: false,
    written: Written::Q4,
};
pub(crate) const QWEN2: Shape = Shape {
    architecture: "qwen2",
    bias: true,
    own_output: true,
    written: Written::F16,
    ..LLAMA
};
pub(crate) const QWEN3: Shape = Shape {
    architecture: "qwen3",
    head_width: 24,
    head_norm: true,
    written: Written::Q8,
    ..LLAMA
};

pub(crate) const WIDTH: usize = 64;
pub(crate) const HIDDEN: usize = 96;
pub(crate) const HEADS: usize = 4;
pub(crate) const KV_HEADS: usize = 2;
pub(crate) const LAYERS: usize = 2;

/// The vocabulary: the alphabet of bytes, some merges, special tokens.
pub(crate) fn tokens() -> Vec<String> {
    let alphabet = (0..0x200)
        .filter_map(char::from_u32)
        .filter(|character| crate::text::byte_of(*character).is_some());
    let mut tokens: Vec<String> = alphabet.map(String::from).collect();
    for token in ["th", "the", "Ġthe", "<|endoftext|>", "<|im_start|>", "<|im_end|>"] {
        tokens.push(token.to_owned());
    }
    tokens
}

/// A chat model of random weights.
pub(crate) fn model(shape: Shape) -> FileOf {
    let mut file = FileOf::default();
    describe(&mut file, shape);
    let tokens = tokens();
    let vocabulary = tokens.len();
    let kinds = tokens
        .iter()
        .map(|token| if token.starts_with("<|") { 3 } else { 1 });
    file.set("tokenizer.ggml.model", Item::Text("gpt2".to_owned()));
    file.set("tokenizer.ggml.pre", Item::Text("smollm".to_owned()));
    file.set("tokenizer.ggml.token_type", Item::Integers(kinds.collect()));
    file.set(
        "tokenizer.ggml.merges",
        Item::Texts(["t h", "th e", "Ġ the"].map(str::to_owned).to_vec()),
    );
    file.set(
        "tokenizer.ggml.eos_token_id",
        Item::Integer(u32::try_from(vocabulary - 1).unwrap()),
    );
    file.set("tokenizer.ggml.tokens", Item::Texts(tokens));
    fill(&mut file, shape, vocabulary);
    file
}

fn describe(file: &mut FileOf, shape: Shape) {
    file.set("general.architecture", Item::Text(shape.architecture.to_owned()));
    let number = |value: usize| Item::Integer(u32::try_from(value).unwrap());
    for (key, value) in [
        ("block_count", LAYERS),
        ("context_length", 512),
        ("embedding_length", WIDTH),
        ("feed_forward_length", HIDDEN),
        ("attention.head_count", HEADS),
        ("attention.head_count_kv", KV_HEADS),
        ("attention.key_length", shape.head_width),
        ("attention.value_length", shape.head_width),
    ] {
        file.set(&format!("{}.{key}", shape.architecture), number(value));
    }
    let epsilon = format!("{}.attention.layer_norm_rms_epsilon", shape.architecture);
    file.set(&epsilon, Item::Number(1e-5));
}

fn fill(file: &mut FileOf, shape: Shape, vocabulary: usize) {
    let mut random = StdRng::seed_from_u64(42);
    let mut numbers = |count: usize, around: f32, size: f32| -> Vec<f32> {
        (0..count)
            .map(|_| around + (random.random::<f32>() * 2.0 - 1.0) * size)
            .collect()
    };
    let (query, kv) = (HEADS * shape.head_width, KV_HEADS * shape.head_width);
    let mut matrix = |name: String, rows: usize, columns: usize| {
        let dimensions = vec![columns as u64, rows as u64];
        let numbers = rounded(shape.written, numbers(rows * columns, 0.0, 0.3));
        file.tensors.push((name, dimensions, shape.written, numbers));
    };
    matrix("token_embd.weight".to_owned(), vocabulary, WIDTH);
    if shape.own_output {
        matrix("output.weight".to_owned(), vocabulary, WIDTH);
    }
    for layer in 0..LAYERS {
        for (name, rows, columns) in [
            ("attn_q", query, WIDTH),
            ("attn_k", kv, WIDTH),
            ("attn_v", kv, WIDTH),
            ("attn_output", WIDTH, query),
            ("ffn_gate", HIDDEN, WIDTH),
            ("ffn_up", HIDDEN, WIDTH),
            ("ffn_down", WIDTH, HIDDEN),
        ] {
            matrix(format!("blk.{layer}.{name}.weight"), rows, columns);
        }
    }
    let mut vector = |name: String, length: usize, around: f32| {
        file.tensors.push((
            name,
            vec![length as u64],
            Written::F32,
            numbers(length, around, 0.2),
        ));
    };
    vector("output_norm.weight".to_owned(), WIDTH, 1.0);
    for layer in 0..LAYERS {
        vector(format!("blk.{layer}.attn_norm.weight"), WIDTH, 1.0);
        vector(format!("blk.{layer}.ffn_norm.weight"), WIDTH, 1.0);
        for (name, length) in [("q", query), ("k", kv), ("v", kv)] {
            if shape.bias {
                vector(format!("blk.{layer}.attn_{name}.bias"), length, 0.0);
            }
            if shape.head_norm && name != "v" {
                vector(
                    format!("blk.{layer}.attn_{name}_norm.weight"),
                    shape.head_width,
                    1.0,
                );
            }
        }
    }
}

/// Numbers as they are after writing and reading, so that a reference computes with the same ones.
fn rounded(written: Written, mut numbers: Vec<f32>) -> Vec<f32> {
    if written == Written::Q4 {
        for block in numbers.as_chunks_mut::<32>().0 {
            let least = block.iter().copied().fold(f32::MAX, f32::min);
            let most = block.iter().copied().fold(f32::MIN, f32::max);
            let least = f16::from_f32(least).to_f32();
            let scale = f16::from_f32((most - least) / 15.0).to_f32();
            for number in block {
                *number = ((*number - least) / scale).round().clamp(0.0, 15.0) * scale + least;
            }
        }
    }
    numbers
}
