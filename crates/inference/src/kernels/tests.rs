//! Every instruction set against plain arithmetic.

use half::f16;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::*;
use crate::weights::Activations;

fn numbers(seed: u64, count: usize, size: f32) -> Vec<f32> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..count)
        .map(|_| (random.random::<f32>() * 2.0 - 1.0) * size)
        .collect()
}

fn lines(random: &mut StdRng, count: usize) -> Vec<Line> {
    (0..count)
        .map(|_| Line(std::array::from_fn(|_| random.random())))
        .collect()
}

fn halves(random: &mut StdRng, count: usize) -> Vec<Halves> {
    let mut half = || f16::from_f32(random.random::<f32>() * 0.02 - 0.01).to_bits();
    (0..count).map(|_| std::array::from_fn(|_| half())).collect()
}

/// Products by definition, from the layout as it is described.
fn expected(packed: Packed<'_>, blocks: usize, height: usize, rows: &[Row<'_>]) -> Vec<f32> {
    let mut outputs = Vec::new();
    for row in rows {
        for line in 0..height {
            let (tile, lane) = (line / TILE_ROWS, line % TILE_ROWS);
            let sum = (0..blocks).map(|block| {
                let index = tile * blocks + block;
                let inputs: Vec<f64> = row.quants[block]
                    .iter()
                    .flat_map(|four| four.to_le_bytes())
                    .map(|byte| f64::from(byte.cast_signed()) * f64::from(row.scales[block]))
                    .collect();
                let weights: Vec<f64> = (0..BLOCK)
                    .map(|column| weight(packed, index, lane, column))
                    .collect();
                inputs
                    .iter()
                    .zip(weights)
                    .map(|(input, weight)| input * weight)
                    .sum::<f64>()
            });
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the kernels have single precision"
            )]
            outputs.push(sum.sum::<f64>() as f32);
        }
    }
    outputs
}

fn weight(packed: Packed<'_>, block: usize, lane: usize, column: usize) -> f64 {
    let half = |bits: u16| f64::from(f16::from_bits(bits).to_f32());
    match packed {
        Packed::Four(four) => {
            let byte = four.quants[block][column % 16 / 4].0[lane * 4 + column % 4];
            let quant = if column < 16 { byte & 15 } else { byte >> 4 };
            half(four.scales[block][lane]) * f64::from(quant) + half(four.minima[block][lane])
        }
        Packed::Eight(eight) => {
            let byte = eight.quants[block][column / 4].0[lane * 4 + column % 4];
            half(eight.scales[block][lane]) * (f64::from(byte) - 128.0)
        }
    }
}

fn assert_close(one: &[f32], two: &[f32], tolerance: f32, what: &str) {
    assert_eq!(one.len(), two.len(), "{what}");
    for (index, (one, two)) in one.iter().zip(two).enumerate() {
        assert!(
            (one - two).abs() <= tolerance * (1.0 + two.abs()),
            "{what}: {one} and {two} at {index}"
        );
    }
}

#[test]
fn products_are_what_the_layout_says_on_every_instruction_set() {
    let mut random = StdRng::seed_from_u64(1);
    for (count, blocks, height) in [(1, 1, 16_usize), (2, 3, 40), (3, 2, 33), (4, 5, 16), (9, 4, 48)] {
        let tiles = height.div_ceil(TILE_ROWS) * blocks;
        let four = lines(&mut random, tiles * 4);
        let eight = lines(&mut random, tiles * 8);
        let scales = halves(&mut random, tiles);
        let minima = halves(&mut random, tiles);
        let four = FourBit {
            quants: four.as_chunks().0,
            scales: &scales,
            minima: &minima,
        };
        for packed in [Packed::Four(four), Packed::eight(eight.as_chunks().0, &scales)] {
            for level in Level::available() {
                let mut activations = Activations::default();
                activations.quantise(level, &numbers(2, count * blocks * BLOCK, 3.0), blocks * BLOCK);
                let rows = activations.rows();
                let mut outputs = vec![0.0; count * height];
                multiply(level, packed, blocks, height, &rows, &mut outputs);
                let what = format!("{} {count} {blocks} {height}", level.name());
                assert_close(&outputs, &expected(packed, blocks, height, &rows), 1e-4, &what);
            }
        }
    }
}

#[test]
fn a_row_has_the_same_products_alone_and_among_others() {
    let mut random = StdRng::seed_from_u64(3);
    let (blocks, height) = (3, 32);
    let quants = lines(&mut random, 2 * blocks * 8);
    let scales = halves(&mut random, 2 * blocks);
    let packed = Packed::eight(quants.as_chunks().0, &scales);
    for level in Level::available() {
        let mut activations = Activations::default();
        activations.quantise(level, &numbers(4, 7 * blocks * BLOCK, 3.0), blocks * BLOCK);
        let rows = activations.rows();
        let mut together = vec![0.0; 7 * height];
        multiply(level, packed, blocks, height, &rows, &mut together);
        for (row, together) in rows.iter().zip(together.chunks_exact(height)) {
            let mut alone = vec![0.0; height];
            multiply(level, packed, blocks, height, &[*row], &mut alone);
            assert_eq!(alone, together, "{}", level.name());
        }
    }
}

#[test]
fn small_products_are_sums_of_products() {
    for level in Level::available() {
        for (rows, depth, width, used) in [
            (1, 5, 64, 64),
            (2, 64, 64, 9),
            (3, 64, 24, 24),
            (7, 33, 128, 128),
            (4, 1, 8, 1),
        ] {
            let stride = depth + 3;
            let left = numbers(5, rows * stride, 1.0);
            let right = numbers(6, depth * width, 1.0);
            let mut outputs = vec![0.5; rows * width];
            let product = SmallProduct {
                left: &left,
                left_stride: stride,
                depth,
                right: &right,
                width,
                used,
                outputs: &mut outputs,
            };
            multiply_add(level, product);
            for row in 0..rows {
                for column in 0..used {
                    let sum: f32 = (0..depth)
                        .map(|k| left[row * stride + k] * right[k * width + column])
                        .sum();
                    let output = outputs[row * width + column];
                    assert!(
                        (output - sum - 0.5).abs() < 1e-4,
                        "{} {rows} {depth} {width}",
                        level.name()
                    );
                }
            }
        }
    }
}

#[test]
fn vector_functions_agree_with_their_definitions() {
    let input = numbers(7, 96, 8.0);
    let other = numbers(8, 96, 2.0);
    for level in Level::available() {
        let mut sums = input.clone();
        add(level, &mut sums, &other);
        let expected: Vec<f32> = input.iter().zip(&other).map(|(a, b)| a + b).collect();
        assert_close(&sums, &expected, 1e-6, "add");

        let mut normed = vec![0.0; 96];
        normalise(level, &input, &other, 1e-5, &mut normed);
        let mean = input.iter().map(|value| value * value).sum::<f32>() / 96.0;
        let expected: Vec<f32> = input
            .iter()
            .zip(&other)
            .map(|(a, b)| a / (mean + 1e-5).sqrt() * b)
            .collect();
        assert_close(&normed, &expected, 1e-5, "normalise");

        let mut gate = input.clone();
        gate.extend([-200.0, 200.0, 0.0, -0.0]);
        let up = vec![1.5; gate.len()];
        let expected: Vec<f32> = gate
            .iter()
            .map(|value| value / (1.0 + (-value).exp()) * 1.5)
            .collect();
        silu_multiply(level, &mut gate, &up);
        assert_close(&gate, &expected, 1e-5, "silu");

        let halves: Vec<u16> = input
            .iter()
            .map(|value| f16::from_f32(*value).to_bits())
            .collect();
        let mut wide = vec![0.0; 96];
        widen(level, &halves, &mut wide);
        assert_close(&wide, &input, 1e-3, "widen");
    }
}

/// The Gaussian error linear unit by the series of the error function, in double precision.
#[expect(clippy::cast_possible_truncation, reason = "far within single precision")]
fn exact_gelu(value: f32) -> f32 {
    let x = f64::from(value) * std::f64::consts::FRAC_1_SQRT_2;
    let (mut term, mut sum) = (x, x);
    for n in 1..200_u32 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    let erf = sum * std::f64::consts::FRAC_2_SQRT_PI;
    (f64::from(value) * 0.5 * (1.0 + erf)) as f32
}

#[test]
fn what_encoders_compute_agrees_with_its_definition() {
    let input = numbers(9, 100, 5.0);
    let (weights, bias) = (numbers(10, 100, 2.0), numbers(11, 100, 1.0));
    let mean = input.iter().sum::<f32>() / 100.0;
    let variance = input.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 100.0;
    let scale = 1.0 / (variance + 1e-5).sqrt();
    let normed: Vec<f32> = (0..100)
        .map(|index| (input[index] - mean) * scale * weights[index] + bias[index])
        .collect();
    let activated: Vec<f32> = input.iter().map(|value| exact_gelu(*value)).collect();
    for level in Level::available() {
        let mut row = input.clone();
        layer_norm(level, &mut row, &weights, &bias, 1e-5);
        assert_close(&row, &normed, 1e-5, "layer norm");
        let mut row = input.clone();
        gelu(level, &mut row);
        assert_close(&row, &activated, 1e-6, "gelu");
        let mut extremes = [-1e30, -40.0, 40.0, 0.0];
        gelu(level, &mut extremes);
        assert_close(&extremes, &[0.0, 0.0, 40.0, 0.0], 0.0, "gelu far from zero");
        let mut flat = [3.0; 32];
        layer_norm(level, &mut flat, &[1.0; 32], &[0.5; 32], 1e-12);
        assert_close(&flat, &[0.5; 32], 0.0, "a row without variance is its bias");
    }
}

#[test]
fn a_softmax_over_pages_is_that_over_all() {
    let scores = numbers(9, 40, 10.0);
    let values = numbers(10, 40, 1.0);
    let largest = scores.iter().copied().take(37).fold(f32::MIN, f32::max);
    let weights: Vec<f32> = scores
        .iter()
        .take(37)
        .map(|score| (score - largest).exp())
        .collect();
    let expected = weights
        .iter()
        .zip(&values)
        .map(|(weight, value)| weight * value)
        .sum::<f32>()
        / weights.iter().sum::<f32>();
    for level in Level::available() {
        let mut state = Softmax::START;
        let mut output = [0.0];
        for (index, values) in values.chunks(16).enumerate() {
            let mut page = scores[index * 16..].iter().copied().take(16).collect::<Vec<_>>();
            softmax_page(level, &mut page, 37 - index * 16, &mut state, &mut output);
            output[0] += page
                .iter()
                .zip(values)
                .map(|(weight, value)| weight * value)
                .sum::<f32>();
        }
        assert!(
            (output[0] / state.total - expected).abs() < 1e-5,
            "{}",
            level.name()
        );
    }
}

proptest! {
    #[test]
    fn quantising_loses_at_most_half_a_step(input in proptest::collection::vec(-1e4_f32..1e4, 64)) {
        for level in Level::available() {
            let mut quants = [[0; BLOCK / 4]; 2];
            let (mut scales, mut sums) = ([0.0; 2], [0.0; 2]);
            quantise(level, &input, &mut quants, &mut scales, &mut sums);
            for (block, input) in input.chunks(BLOCK).enumerate() {
                let bytes = quants[block].iter().flat_map(|four| four.to_le_bytes());
                let values: Vec<f32> = bytes.map(|byte| f32::from(byte.cast_signed()) * scales[block]).collect();
                for (value, input) in values.iter().zip(input) {
                    prop_assert!((value - input).abs() <= scales[block] * 0.501);
                }
                let sum = values.iter().sum::<f32>();
                prop_assert!((sum - sums[block]).abs() <= 1e-3 * scales[block].max(1.0));
            }
        }
    }
}
