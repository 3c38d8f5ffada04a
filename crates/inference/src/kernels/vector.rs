//! What a forward pass does with plain vectors: norms, activations, quantisation, softmax, small products.
//!
//! Except for the small products, the bodies are plain loops that the compiler vectorises, compiled once for the
//! plainest processor and once for AVX2.

#![expect(
    clippy::inline_always,
    reason = "a body that is not inlined is not compiled for the instructions of its caller"
)]

use half::f16;

use super::{BLOCK, Level, Set};

/// Runs a body compiled for the level's instructions; it must be inlined for that to have an effect.
#[cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "a level exists only where the processor has its instructions"
    )
)]
fn vectorised<R>(level: Level, body: impl FnOnce() -> R) -> R {
    match level.0 {
        Set::Portable => body(),
        // SAFETY: `Level::available` looked for the instructions that the body is compiled for.
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 | Set::Avx512 => unsafe { super::avx2::run(body) },
    }
}

/// Adds `terms` to `sums`, element by element.
pub(crate) fn add(level: Level, sums: &mut [f32], terms: &[f32]) {
    vectorised(level, || add_body(sums, terms));
}

#[inline(always)]
fn add_body(sums: &mut [f32], terms: &[f32]) {
    for (sum, term) in sums.iter_mut().zip(terms) {
        *sum += term;
    }
}

/// Root-mean-square norm: `output = input / sqrt(mean(input²) + epsilon) · weights`.
pub(crate) fn normalise(level: Level, input: &[f32], weights: &[f32], epsilon: f32, output: &mut [f32]) {
    vectorised(level, || normalise_body(input, weights, epsilon, output));
}

#[inline(always)]
#[expect(clippy::cast_precision_loss, reason = "rows are far shorter than 2^24")]
fn normalise_body(input: &[f32], weights: &[f32], epsilon: f32, output: &mut [f32]) {
    let total = lane_sum(input, |value| value * value);
    let factor = 1.0 / (total / input.len() as f32 + epsilon).sqrt();
    for ((output, input), weight) in output.iter_mut().zip(input).zip(weights) {
        *output = input * factor * weight;
    }
}

/// `gate = silu(gate) · up`, element by element.
pub(crate) fn silu_multiply(level: Level, gate: &mut [f32], up: &[f32]) {
    vectorised(level, || silu_body(gate, up));
}

#[inline(always)]
fn silu_body(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + exponential(-*gate)) * up;
    }
}

/// Layer norm in place: `(row - mean) / sqrt(variance + epsilon) · weights + bias`.
pub(crate) fn layer_norm(level: Level, row: &mut [f32], weights: &[f32], bias: &[f32], epsilon: f32) {
    vectorised(level, || layer_norm_body(row, weights, bias, epsilon));
}

#[inline(always)]
#[expect(clippy::cast_precision_loss, reason = "rows are far shorter than 2^24")]
fn layer_norm_body(row: &mut [f32], weights: &[f32], bias: &[f32], epsilon: f32) {
    let count = row.len() as f32;
    let mean = lane_sum(row, |value| value) / count;
    for value in row.iter_mut() {
        *value -= mean;
    }
    let factor = 1.0 / (lane_sum(row, |value| value * value) / count + epsilon).sqrt();
    for ((value, weight), bias) in row.iter_mut().zip(weights).zip(bias) {
        *value = *value * factor * weight + bias;
    }
}

/// A sum in an order that is the same with and without vectors.
#[inline(always)]
fn lane_sum(row: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0_f32; 16];
    let (chunks, rest) = row.as_chunks::<16>();
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += term(*value);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|value| term(*value)).sum::<f32>()
}

/// The Gaussian error linear unit in place: `x / 2 · (1 + erf(x / √2))`.
pub(crate) fn gelu(level: Level, values: &mut [f32]) {
    vectorised(level, || gelu_body(values));
}

/// The error function is Abramowitz and Stegun's 7.1.26, to about 1 in 10⁷.
#[inline(always)]
fn gelu_body(values: &mut [f32]) {
    for value in values {
        let size = value.abs() * std::f32::consts::FRAC_1_SQRT_2;
        let t = 1.0 / (1.0 + 0.327_591_1 * size);
        let mut sum = 1.061_405_4;
        sum = sum * t - 1.453_152_1;
        sum = sum * t + 1.421_413_8;
        sum = sum * t - 0.284_496_72;
        sum = sum * t + 0.254_829_6;
        let erf = 1.0 - sum * t * exponential(-size * size);
        let erf = if *value < 0.0 { -erf } else { erf };
        *value = *value * 0.5 * (1.0 + erf);
    }
}

/// Quantises a row to signed bytes, block by block.
///
/// `input` is as long as the blocks of the other three together.
pub(crate) fn quantise(
    level: Level,
    input: &[f32],
    quants: &mut [[i32; BLOCK / 4]],
    scales: &mut [f32],
    sums: &mut [f32],
) {
    vectorised(level, || quantise_body(input, quants, scales, sums));
}

#[inline(always)]
#[expect(clippy::cast_precision_loss, reason = "sums of 32 bytes are exact in an f32")]
fn quantise_body(input: &[f32], quants: &mut [[i32; BLOCK / 4]], scales: &mut [f32], sums: &mut [f32]) {
    let (blocks, _) = input.as_chunks::<BLOCK>();
    for (((block, quants), scale), sum) in blocks.iter().zip(quants).zip(scales).zip(sums) {
        let largest = largest_of(block);
        *scale = largest / 127.0;
        let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        let rounded: [i32; BLOCK] =
            std::array::from_fn(|index| block.get(index).map_or(0, |value| round_small(value * inverse)));
        let (fours, _) = rounded.as_chunks::<4>();
        for (quant, [a, b, c, d]) in quants.iter_mut().zip(fours) {
            *quant = (a & 255) | (b & 255) << 8 | (c & 255) << 16 | d << 24;
        }
        *sum = rounded.iter().copied().fold(0, i32::wrapping_add) as f32 * *scale;
    }
}

#[inline(always)]
fn largest_of(block: &[f32; BLOCK]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    let (chunks, _) = block.as_chunks::<8>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            let size = value.abs();
            *lane = if size > *lane { size } else { *lane };
        }
    }
    lanes.iter().copied().fold(0.0, f32::max)
}

/// Rounds a number of at most 2²² to the nearest integer by adding a number whose unit is in the last place; others
/// give some integer.
#[inline(always)]
fn round_small(value: f32) -> i32 {
    const SHIFT: f32 = 12_582_912.0;
    (value + SHIFT)
        .to_bits()
        .cast_signed()
        .wrapping_sub(SHIFT.to_bits().cast_signed())
}

/// e^x to about 1 in 10⁷; what is too small for a normal number becomes the smallest one.
#[inline(always)]
fn exponential(value: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // ln 2 in two parts, the first of few bits, so that its products are exact (Cody and Waite).
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let value = if value > 88.0 { 88.0 } else { value };
    let value = if value < -87.0 { -87.0 } else { value };
    let power = round_small(value * LOG2_E);
    let shifted = (value * LOG2_E + 12_582_912.0) - 12_582_912.0;
    let rest = value - shifted * LN2_HIGH - shifted * LN2_LOW;
    // Taylor's series to the seventh power on |rest| ≤ ln 2 / 2.
    let mut sum = 1.0 / 5040.0;
    sum = sum * rest + 1.0 / 720.0;
    sum = sum * rest + 1.0 / 120.0;
    sum = sum * rest + 1.0 / 24.0;
    sum = sum * rest + 1.0 / 6.0;
    sum = sum * rest + 0.5;
    sum = sum * rest + 1.0;
    sum = sum * rest + 1.0;
    sum * f32::from_bits((power.wrapping_add(127) << 23).cast_unsigned())
}

/// What is known of a softmax after some pages of scores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Softmax {
    /// The largest score.
    pub(crate) largest: f32,
    /// The sum of exponentials relative to the largest score.
    pub(crate) total: f32,
}

impl Softmax {
    /// Before the first page.
    pub(crate) const START: Self = Self {
        largest: f32::NEG_INFINITY,
        total: 0.0,
    };
}

/// Turns a page of scores into weights and rescales the `output` of earlier pages to the new largest score.
///
/// Scores after the first `visible` count for nothing.
pub(crate) fn softmax_page(
    level: Level,
    scores: &mut [f32],
    visible: usize,
    state: &mut Softmax,
    output: &mut [f32],
) {
    vectorised(level, || softmax_body(scores, visible, state, output));
}

#[inline(always)]
fn softmax_body(scores: &mut [f32], visible: usize, state: &mut Softmax, output: &mut [f32]) {
    let (seen, hidden) = scores.split_at_mut(visible.min(scores.len()));
    hidden.fill(0.0);
    let largest = seen.iter().copied().fold(state.largest, f32::max);
    if seen.is_empty() {
        return;
    }
    let factor = exponential(state.largest - largest);
    let mut total = 0.0;
    for score in seen.iter_mut() {
        *score = exponential(*score - largest);
    }
    for score in seen.iter() {
        total += score;
    }
    if largest > state.largest {
        for value in output.iter_mut() {
            *value *= factor;
        }
    }
    *state = Softmax {
        largest,
        total: state.total * factor + total,
    };
}

/// Converts half-precision numbers, given by their bits, to single precision.
pub(crate) fn widen(level: Level, halves: &[u16], floats: &mut [f32]) {
    match level.0 {
        Set::Portable => widen_rest(halves, floats),
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 | Set::Avx512 => {
            let (chunks, rest) = halves.as_chunks::<8>();
            let (outputs, others) = floats.as_chunks_mut::<8>();
            vectorised_widen(chunks, outputs);
            widen_rest(rest, others);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "called for levels whose instructions the processor has"
)]
fn vectorised_widen(halves: &[[u16; 8]], floats: &mut [[f32; 8]]) {
    // SAFETY: only called for levels for which `Level::available` found F16C.
    unsafe { super::avx2::widen(halves, floats) }
}

fn widen_rest(halves: &[u16], floats: &mut [f32]) {
    for (float, half) in floats.iter_mut().zip(halves) {
        *float = f16::from_bits(*half).to_f32();
    }
}

/// A small product of two plain matrices, added to a third: `outputs += left · right`.
pub(crate) struct SmallProduct<'a> {
    /// One row after the other, `left_stride` apart.
    pub(crate) left: &'a [f32],
    /// Numbers from one row of `left` to the next.
    pub(crate) left_stride: usize,
    /// How many columns of `left`, rows of `right`, are used.
    pub(crate) depth: usize,
    /// `width` numbers a row.
    pub(crate) right: &'a [f32],
    /// Columns of `right` and `outputs`, a multiple of 8.
    pub(crate) width: usize,
    /// How many of the columns are computed; rounded up to a multiple of 8.
    pub(crate) used: usize,
    /// `width` numbers for each row of `left`.
    pub(crate) outputs: &'a mut [f32],
}

/// Computes a [`SmallProduct`].
#[cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "a level exists only where the processor has its instructions"
    )
)]
pub(crate) fn multiply_add(level: Level, product: SmallProduct<'_>) {
    match level.0 {
        Set::Portable => multiply_add_portable(product),
        // SAFETY: `Level::available` looked for the instructions that the product is compiled for.
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 if product.width.is_multiple_of(16) => unsafe { super::avx512::multiply_add(product) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 | Set::Avx512 => unsafe { super::avx2::multiply_add(product) },
    }
}

fn multiply_add_portable(product: SmallProduct<'_>) {
    let SmallProduct {
        left,
        left_stride,
        depth,
        right,
        width,
        used,
        outputs,
    } = product;
    for (left, output) in left
        .chunks_exact(left_stride)
        .zip(outputs.chunks_exact_mut(width))
    {
        for (factor, right) in left.iter().take(depth).zip(right.chunks_exact(width)) {
            for (output, right) in output.iter_mut().zip(right).take(used.next_multiple_of(8)) {
                *output += factor * right;
            }
        }
    }
}
