//! The forward pass against one written as the papers have it, in single precision on plain weights.

use super::{Cache, Config, Network, Pass, Rows, Segment};
use crate::{
    gguf::Gguf,
    kernels::Level,
    testing::{self, FileOf, HEADS, KV_HEADS, LAYERS, LLAMA, QWEN2, QWEN3, Shape, WIDTH},
};

const TOKENS: [u32; 9] = [5, 17, 200, 3, 3, 90, 150, 42, 7];

fn load(file: &FileOf) -> Network {
    let written = file.write();
    let gguf = Gguf::open(written.path()).unwrap();
    let config = Config::read(&gguf).unwrap();
    Network::load(&gguf, config, 2).unwrap()
}

/// The plain model.
struct Reference<'a> {
    file: &'a FileOf,
    shape: Shape,
}

impl Reference<'_> {
    fn tensor(&self, name: &str) -> Option<&[f32]> {
        self.file
            .tensors
            .iter()
            .find(|tensor| tensor.0 == name)
            .map(|tensor| tensor.3.as_slice())
    }

    fn product(&self, name: &str, input: &[f32]) -> Vec<f32> {
        let rows = self
            .tensor(&format!("{name}.weight"))
            .unwrap()
            .chunks_exact(input.len());
        let mut output: Vec<f32> = rows
            .map(|row| row.iter().zip(input).map(|(a, b)| a * b).sum())
            .collect();
        if let Some(bias) = self.tensor(&format!("{name}.bias")) {
            output
                .iter_mut()
                .zip(bias)
                .for_each(|(output, bias)| *output += bias);
        }
        output
    }

    #[expect(clippy::cast_precision_loss, reason = "short rows")]
    fn norm(&self, name: &str, input: &[f32]) -> Vec<f32> {
        let Some(weights) = self.tensor(&format!("{name}.weight")) else {
            return input.to_vec();
        };
        let mean = input.iter().map(|value| value * value).sum::<f32>() / input.len() as f32;
        input
            .iter()
            .zip(weights)
            .map(|(input, weight)| input / (mean + 1e-5).sqrt() * weight)
            .collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "short rows")]
    fn heads(&self, layer: usize, name: &str, position: usize, input: &[f32]) -> Vec<Vec<f32>> {
        let width = self.shape.head_width;
        let flat = self.product(&format!("blk.{layer}.attn_{name}"), input);
        let turned = flat.chunks_exact(width).map(|head| {
            if name == "v" {
                return head.to_vec();
            }
            let mut head = self.norm(&format!("blk.{layer}.attn_{name}_norm"), head);
            for pair in 0..width / 2 {
                let angle = position as f32 * 10_000_f32.powf(-2.0 * pair as f32 / width as f32);
                let (one, two) = match self.shape.architecture {
                    "llama" => (2 * pair, 2 * pair + 1),
                    _ => (pair, pair + width / 2),
                };
                let (a, b) = (head[one], head[two]);
                head[one] = a * angle.cos() - b * angle.sin();
                head[two] = a * angle.sin() + b * angle.cos();
            }
            head
        });
        turned.collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "short rows")]
    fn attention(&self, queries: &[Vec<f32>], keys: &[Vec<Vec<f32>>], values: &[Vec<Vec<f32>>]) -> Vec<f32> {
        let width = self.shape.head_width;
        let mut output = Vec::new();
        for (index, query) in queries.iter().enumerate() {
            let head = index / (HEADS / KV_HEADS);
            let scores = keys.iter().map(|keys| {
                let dot: f32 = keys[head].iter().zip(query).map(|(a, b)| a * b).sum();
                (dot / (width as f32).sqrt()).exp()
            });
            let scores: Vec<f32> = scores.collect();
            let total: f32 = scores.iter().sum();
            for column in 0..width {
                let sum: f32 = scores
                    .iter()
                    .zip(values)
                    .map(|(score, values)| score * values[head][column])
                    .sum();
                output.push(sum / total);
            }
        }
        output
    }

    /// The scores after the last of the tokens.
    fn scores(&self, tokens: &[u32]) -> Vec<f32> {
        let embedding = self.tensor("token_embd.weight").unwrap();
        let mut states: Vec<Vec<f32>> = tokens
            .iter()
            .map(|token| embedding[*token as usize * WIDTH..][..WIDTH].to_vec())
            .collect();
        for layer in 0..LAYERS {
            let normed: Vec<_> = states
                .iter()
                .map(|state| self.norm(&format!("blk.{layer}.attn_norm"), state))
                .collect();
            let all = |name| -> Vec<_> {
                normed
                    .iter()
                    .enumerate()
                    .map(|(position, input)| self.heads(layer, name, position, input))
                    .collect()
            };
            let (queries, keys, values) = (all("q"), all("k"), all("v"));
            for (position, state) in states.iter_mut().enumerate() {
                let seen = ..=position;
                let attended = self.attention(&queries[position], &keys[seen], &values[seen]);
                let change = self.product(&format!("blk.{layer}.attn_output"), &attended);
                state
                    .iter_mut()
                    .zip(change)
                    .for_each(|(state, change)| *state += change);
                let normed = self.norm(&format!("blk.{layer}.ffn_norm"), state);
                let gate = self.product(&format!("blk.{layer}.ffn_gate"), &normed);
                let up = self.product(&format!("blk.{layer}.ffn_up"), &normed);
                let hidden: Vec<f32> = gate
                    .iter()
                    .zip(up)
                    .map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up)
                    .collect();
                let change = self.product(&format!("blk.{layer}.ffn_down"), &hidden);
                state
                    .iter_mut()
                    .zip(change)
                    .for_each(|(state, change)| *state += change);
            }
        }
        let last = self.norm("output_norm", states.last().unwrap());
        self.product(
            if self.shape.own_output {
                "output"
            } else {
                "token_embd"
            },
            &last,
        )
    }
}

fn run(network: &Network, level: Level, portions: &[&[u32]]) -> Vec<f32> {
    let (mut pass, mut cache) = (Pass::new(level), Cache::new(&network.config));
    let mut scores = Vec::new();
    for tokens in portions {
        scores = pass
            .run(
                network,
                &mut [Segment {
                    tokens,
                    cache: &mut cache,
                    scored: Rows::Last,
                }],
            )
            .to_vec();
    }
    scores
}

fn cosine(one: &[f32], two: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(one, two) / (dot(one, one) * dot(two, two)).sqrt()
}

#[test]
fn scores_are_those_of_the_plain_model_for_every_architecture_and_instruction_set() {
    for shape in [LLAMA, QWEN2, QWEN3] {
        let file = testing::model(shape);
        let network = load(&file);
        let expected = Reference { file: &file, shape }.scores(&TOKENS);
        for level in Level::available() {
            let scores = run(&network, level, &[&TOKENS]);
            let similarity = cosine(&scores, &expected);
            assert!(
                similarity > 0.998,
                "{} {}: {similarity}",
                shape.architecture,
                level.name()
            );
        }
    }
}

#[test]
fn a_prompt_in_portions_scores_exactly_as_at_once() {
    let network = load(&testing::model(LLAMA));
    let long: Vec<u32> = (0..150).map(|index| index * 7 % 250).collect();
    for level in Level::available() {
        let at_once = run(&network, level, &[&long]);
        let portions: Vec<&[u32]> = long.chunks(37).collect();
        assert_eq!(run(&network, level, &portions), at_once, "{}", level.name());
        let single: Vec<&[u32]> = long.chunks(1).collect();
        assert_eq!(run(&network, level, &single), at_once, "{}", level.name());
    }
}

#[test]
fn sequences_score_exactly_as_alone_when_computed_together() {
    let network = load(&testing::model(QWEN3));
    let level = Level::best();
    let (one, two) = (&TOKENS[..4], &TOKENS[2..]);
    let mut pass = Pass::new(level);
    let (mut first, mut second) = (Cache::new(&network.config), Cache::new(&network.config));
    let together = pass.run(
        &network,
        &mut [
            Segment {
                tokens: one,
                cache: &mut first,
                scored: Rows::Last,
            },
            Segment {
                tokens: two,
                cache: &mut second,
                scored: Rows::Last,
            },
        ],
    );
    let alone = [run(&network, level, &[one]), run(&network, level, &[two])].concat();
    assert_eq!(together, alone);
}

#[test]
fn a_copied_or_shortened_cache_goes_on_as_the_original() {
    let network = load(&testing::model(QWEN2));
    let long: Vec<u32> = (0..100).collect();
    let mut pass = Pass::new(Level::best());
    let mut cache = Cache::new(&network.config);
    pass.run(
        &network,
        &mut [Segment {
            tokens: &long,
            cache: &mut cache,
            scored: Rows::None,
        }],
    );
    let expected = run(&network, Level::best(), &[&long[..70], &[9, 8]]);
    let mut copy = cache.copy_start(70);
    assert_eq!(copy.len(), 70);
    let scores = pass.run(
        &network,
        &mut [Segment {
            tokens: &[9, 8],
            cache: &mut copy,
            scored: Rows::Last,
        }],
    );
    assert_eq!(scores, expected);
    let before = cache.bytes();
    cache.truncate(40);
    assert!(cache.bytes() < before);
    let scores = pass.run(
        &network,
        &mut [Segment {
            tokens: &long[40..70],
            cache: &mut cache,
            scored: Rows::Last,
        }],
    );
    assert_eq!(scores, run(&network, Level::best(), &[&long[..70]]));
}
