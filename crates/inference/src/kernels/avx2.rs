//! Tile products with AVX2; a tile is done as two halves of eight rows.

#![expect(
    clippy::indexing_slicing,
    reason = "the indices are constant or follow from lengths that the caller keeps; slices checked here keep loads sound"
)]

use std::arch::x86_64::{
    __m256, __m256i, _mm_loadu_si128, _mm256_abs_epi8, _mm256_add_epi16, _mm256_add_epi32, _mm256_and_si256,
    _mm256_cvtepi32_ps, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_load_si256, _mm256_loadu_ps,
    _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_set1_epi8, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_sign_epi8,
    _mm256_srli_epi16, _mm256_storeu_ps, _mm256_xor_si256,
};

use super::{
    tile::{EightBit, FourBit, Halves, LANES, Line, Row},
    vector::SmallProduct,
};

/// The product of a tile of four-bit weights with some rows.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn four<const ROWS: usize>(tile: FourBit<'_>, rows: &[Row<'_>; ROWS]) -> [[f32; LANES]; ROWS] {
    let upper = half_of_four::<ROWS, 0>(tile, rows);
    let lower = half_of_four::<ROWS, 1>(tile, rows);
    join(upper, lower)
}

/// The product of a tile of eight-bit weights with some rows.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn eight<const ROWS: usize>(tile: EightBit<'_>, rows: &[Row<'_>; ROWS]) -> [[f32; LANES]; ROWS] {
    let upper = half_of_eight::<ROWS, 0>(tile, rows);
    let lower = half_of_eight::<ROWS, 1>(tile, rows);
    join(upper, lower)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn half_of_four<const ROWS: usize, const HALF: usize>(
    tile: FourBit<'_>,
    rows: &[Row<'_>; ROWS],
) -> [__m256; ROWS] {
    let mask = _mm256_set1_epi8(15);
    let ones = _mm256_set1_epi16(1);
    let mut sums = [_mm256_setzero_ps(); ROWS];
    let blocks = tile.quants.iter().zip(tile.scales).zip(tile.minima);
    for (block, ((lines, scales), minima)) in blocks.enumerate() {
        // Eight products of at most 2 · 15 · 127 fit 16 bits, so they are widened once per block.
        let mut dots = [_mm256_setzero_si256(); ROWS];
        for (column, line) in lines.iter().enumerate() {
            let packed = load::<HALF>(line);
            let low = _mm256_and_si256(packed, mask);
            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(packed), mask);
            for (dot, row) in dots.iter_mut().zip(rows) {
                let input = &row.quants[block];
                let one = _mm256_maddubs_epi16(low, _mm256_set1_epi32(input[column]));
                let two = _mm256_maddubs_epi16(high, _mm256_set1_epi32(input[4 + column]));
                *dot = _mm256_add_epi16(*dot, _mm256_add_epi16(one, two));
            }
        }
        let scales = halves::<HALF>(scales);
        let minima = halves::<HALF>(minima);
        for ((sum, dot), row) in sums.iter_mut().zip(dots).zip(rows) {
            let dots = _mm256_cvtepi32_ps(_mm256_madd_epi16(dot, ones));
            let scale = _mm256_mul_ps(scales, _mm256_set1_ps(row.scales[block]));
            *sum = _mm256_fmadd_ps(dots, scale, *sum);
            *sum = _mm256_fmadd_ps(minima, _mm256_set1_ps(row.sums[block]), *sum);
        }
    }
    sums
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn half_of_eight<const ROWS: usize, const HALF: usize>(
    tile: EightBit<'_>,
    rows: &[Row<'_>; ROWS],
) -> [__m256; ROWS] {
    let offset = _mm256_set1_epi8(-128);
    let ones = _mm256_set1_epi16(1);
    let mut sums = [_mm256_setzero_ps(); ROWS];
    for (block, (lines, scales)) in tile.quants.iter().zip(tile.scales).enumerate() {
        let mut dots = [_mm256_setzero_si256(); ROWS];
        for (column, line) in lines.iter().enumerate() {
            // One factor must be unsigned: the weights' signs go to the activations.
            let weights = _mm256_xor_si256(load::<HALF>(line), offset);
            let sizes = _mm256_abs_epi8(weights);
            for (dot, row) in dots.iter_mut().zip(rows) {
                let inputs = _mm256_sign_epi8(_mm256_set1_epi32(row.quants[block][column]), weights);
                let products = _mm256_maddubs_epi16(sizes, inputs);
                *dot = _mm256_add_epi32(*dot, _mm256_madd_epi16(products, ones));
            }
        }
        let scales = halves::<HALF>(scales);
        for ((sum, dot), row) in sums.iter_mut().zip(dots).zip(rows) {
            let scale = _mm256_mul_ps(scales, _mm256_set1_ps(row.scales[block]));
            *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), scale, *sum);
        }
    }
    sums
}

#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "loads go through a pointer")]
fn load<const HALF: usize>(line: &Line) -> __m256i {
    const { assert!(HALF < 2, "a line has two halves") };
    // SAFETY: a line is 64 readable bytes, aligned to 64, of which this reads one half.
    unsafe { _mm256_load_si256(line.0.as_ptr().add(HALF * 32).cast()) }
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
#[expect(unsafe_code, reason = "loads go through a pointer")]
fn halves<const HALF: usize>(values: &Halves) -> __m256 {
    const { assert!(HALF < 2, "a tile has two halves") };
    // SAFETY: sixteen halves are 32 readable bytes, of which this reads 16; the load needs no alignment.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(values.as_ptr().add(HALF * 8).cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "stores go through a pointer")]
fn join<const ROWS: usize>(upper: [__m256; ROWS], lower: [__m256; ROWS]) -> [[f32; LANES]; ROWS] {
    let mut sums = [[0.0_f32; LANES]; ROWS];
    for ((sums, upper), lower) in sums.iter_mut().zip(upper).zip(lower) {
        // SAFETY: sixteen floats are 64 writable bytes; the stores need no alignment.
        unsafe {
            _mm256_storeu_ps(sums.as_mut_ptr(), upper);
            _mm256_storeu_ps(sums.as_mut_ptr().add(8), lower);
        }
    }
    sums
}

/// Runs a body whose loops the compiler vectorises with AVX2.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn run<R>(body: impl FnOnce() -> R) -> R {
    body()
}

/// Converts half-precision numbers to single precision.
#[target_feature(enable = "avx2,f16c")]
#[expect(unsafe_code, reason = "loads and stores go through pointers")]
pub(super) fn widen(halves: &[[u16; 8]], floats: &mut [[f32; 8]]) {
    for (half, float) in halves.iter().zip(floats) {
        // SAFETY: both are arrays of eight; neither access needs alignment.
        unsafe {
            let half = _mm_loadu_si128(half.as_ptr().cast());
            _mm256_storeu_ps(float.as_mut_ptr(), _mm256_cvtph_ps(half));
        };
    }
}

/// Computes a [`SmallProduct`], four rows at a time.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn multiply_add(product: SmallProduct<'_>) {
    let SmallProduct {
        left,
        left_stride,
        depth,
        right,
        width,
        used,
        outputs,
    } = product;
    let (right, _) = right.as_chunks::<8>();
    let (outputs, _) = outputs.as_chunks_mut::<8>();
    let width = width / 8;
    let size = Size {
        depth,
        width,
        used: used.div_ceil(8).min(width),
    };
    for (left, outputs) in left.chunks(4 * left_stride).zip(outputs.chunks_mut(4 * width)) {
        match left.len() / left_stride {
            4 => some_rows::<4>(left, left_stride, right, outputs, size),
            3 => some_rows::<3>(left, left_stride, right, outputs, size),
            2 => some_rows::<2>(left, left_stride, right, outputs, size),
            _ => some_rows::<1>(left, left_stride, right, outputs, size),
        }
    }
}

/// The size of a small product; the last two in vectors of eight.
#[derive(Clone, Copy)]
struct Size {
    depth: usize,
    width: usize,
    used: usize,
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn some_rows<const ROWS: usize>(
    left: &[f32],
    stride: usize,
    right: &[[f32; 8]],
    outputs: &mut [[f32; 8]],
    size: Size,
) {
    let left: [&[f32]; ROWS] = std::array::from_fn(|row| &left[row * stride..][..size.depth]);
    let mut column = 0;
    while column + 2 <= size.used {
        strip::<ROWS, 2>(left, &right[column..], &mut outputs[column..], size);
        column += 2;
    }
    if column < size.used {
        strip::<ROWS, 1>(left, &right[column..], &mut outputs[column..], size);
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn strip<const ROWS: usize, const VECTORS: usize>(
    left: [&[f32]; ROWS],
    right: &[[f32; 8]],
    outputs: &mut [[f32; 8]],
    size: Size,
) {
    let mut sums = [[_mm256_setzero_ps(); VECTORS]; ROWS];
    for (row, sums) in sums.iter_mut().enumerate() {
        for (vector, sum) in sums.iter_mut().enumerate() {
            *sum = load_floats(&outputs[row * size.width + vector]);
        }
    }
    for (depth, right) in right.chunks(size.width).take(size.depth).enumerate() {
        let mut vectors = [_mm256_setzero_ps(); VECTORS];
        for (vector, right) in vectors.iter_mut().zip(right) {
            *vector = load_floats(right);
        }
        for (sums, left) in sums.iter_mut().zip(left) {
            let factor = _mm256_set1_ps(left[depth]);
            for (sum, vector) in sums.iter_mut().zip(vectors) {
                *sum = _mm256_fmadd_ps(factor, vector, *sum);
            }
        }
    }
    for (row, sums) in sums.into_iter().enumerate() {
        for (vector, sum) in sums.into_iter().enumerate() {
            store_floats(sum, &mut outputs[row * size.width + vector]);
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "loads go through a pointer")]
fn load_floats(values: &[f32; 8]) -> __m256 {
    // SAFETY: eight readable floats; the load needs no alignment.
    unsafe { _mm256_loadu_ps(values.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "stores go through a pointer")]
fn store_floats(vector: __m256, values: &mut [f32; 8]) {
    // SAFETY: eight writable floats; the store needs no alignment.
    unsafe { _mm256_storeu_ps(values.as_mut_ptr(), vector) };
}
