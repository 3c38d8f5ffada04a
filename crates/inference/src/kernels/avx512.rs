//! Tile products with AVX-512 and its byte products (VNNI).

#![expect(
    clippy::indexing_slicing,
    reason = "the indices are constant or follow from lengths that the caller keeps; slices checked here keep loads sound"
)]

use std::arch::x86_64::{
    __m512, __m512i, _mm256_loadu_si256, _mm512_add_epi32, _mm512_and_si512, _mm512_cvtepi32_ps,
    _mm512_cvtph_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_load_si512, _mm512_loadu_ps, _mm512_mul_ps,
    _mm512_set1_epi8, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_srli_epi16, _mm512_storeu_ps,
};

use super::{
    tile::{EightBit, FourBit, Halves, LANES, Line, Row},
    vector::SmallProduct,
};

/// The product of a tile of four-bit weights with some rows.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) fn four<const ROWS: usize>(tile: FourBit<'_>, rows: &[Row<'_>; ROWS]) -> [[f32; LANES]; ROWS] {
    let mask = _mm512_set1_epi8(15);
    let mut sums = [_mm512_setzero_ps(); ROWS];
    let blocks = tile.quants.iter().zip(tile.scales).zip(tile.minima);
    for (block, ((lines, scales), minima)) in blocks.enumerate() {
        let packed = [load(&lines[0]), load(&lines[1]), load(&lines[2]), load(&lines[3])];
        let low = packed.map(|line| _mm512_and_si512(line, mask));
        let high = packed.map(|line| _mm512_and_si512(_mm512_srli_epi16::<4>(line), mask));
        let scales = halves(scales);
        let minima = halves(minima);
        for (sum, row) in sums.iter_mut().zip(rows) {
            let input = &row.quants[block];
            let mut one = _mm512_setzero_si512();
            let mut two = _mm512_setzero_si512();
            for column in 0..4 {
                one = _mm512_dpbusd_epi32(one, low[column], _mm512_set1_epi32(input[column]));
                two = _mm512_dpbusd_epi32(two, high[column], _mm512_set1_epi32(input[4 + column]));
            }
            let dots = _mm512_cvtepi32_ps(_mm512_add_epi32(one, two));
            let scale = _mm512_mul_ps(scales, _mm512_set1_ps(row.scales[block]));
            *sum = _mm512_fmadd_ps(dots, scale, *sum);
            *sum = _mm512_fmadd_ps(minima, _mm512_set1_ps(row.sums[block]), *sum);
        }
    }
    sums.map(|sum| store(sum))
}

/// The product of a tile of eight-bit weights with some rows.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) fn eight<const ROWS: usize>(tile: EightBit<'_>, rows: &[Row<'_>; ROWS]) -> [[f32; LANES]; ROWS] {
    let mut sums = [_mm512_setzero_ps(); ROWS];
    for (block, (lines, scales)) in tile.quants.iter().zip(tile.scales).enumerate() {
        let scales = halves(scales);
        // The weights carry 128 too much, so each block's sum of activations is taken off 128 times.
        let excess = _mm512_mul_ps(scales, _mm512_set1_ps(-128.0));
        for (sum, row) in sums.iter_mut().zip(rows) {
            let input = &row.quants[block];
            let mut one = _mm512_setzero_si512();
            let mut two = _mm512_setzero_si512();
            for column in 0..4 {
                one = _mm512_dpbusd_epi32(one, load(&lines[column]), _mm512_set1_epi32(input[column]));
                two = _mm512_dpbusd_epi32(
                    two,
                    load(&lines[4 + column]),
                    _mm512_set1_epi32(input[4 + column]),
                );
            }
            let dots = _mm512_cvtepi32_ps(_mm512_add_epi32(one, two));
            let scale = _mm512_mul_ps(scales, _mm512_set1_ps(row.scales[block]));
            *sum = _mm512_fmadd_ps(dots, scale, *sum);
            *sum = _mm512_fmadd_ps(excess, _mm512_set1_ps(row.sums[block]), *sum);
        }
    }
    sums.map(|sum| store(sum))
}

#[inline]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "loads go through a pointer")]
fn load(line: &Line) -> __m512i {
    // SAFETY: a line is 64 readable bytes, aligned to 64.
    unsafe { _mm512_load_si512(std::ptr::from_ref(line).cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx2")]
#[expect(unsafe_code, reason = "loads go through a pointer")]
fn halves(values: &Halves) -> __m512 {
    // SAFETY: sixteen halves are 32 readable bytes; the load needs no alignment.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(values.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "stores go through a pointer")]
fn store(sum: __m512) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    // SAFETY: sixteen floats are 64 writable bytes; the store needs no alignment.
    unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), sum) };
    lanes
}

/// Computes a [`SmallProduct`] whose width is a multiple of 16, four rows at a time.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
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
    let (right, _) = right.as_chunks::<16>();
    let (outputs, _) = outputs.as_chunks_mut::<16>();
    let width = width / 16;
    let size = Size {
        depth,
        width,
        used: used.div_ceil(16).min(width),
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

/// The size of a small product; the last two in vectors of sixteen.
#[derive(Clone, Copy)]
struct Size {
    depth: usize,
    width: usize,
    used: usize,
}

#[inline]
#[target_feature(enable = "avx512f,avx2,fma")]
fn some_rows<const ROWS: usize>(
    left: &[f32],
    stride: usize,
    right: &[[f32; 16]],
    outputs: &mut [[f32; 16]],
    size: Size,
) {
    let left: [&[f32]; ROWS] = std::array::from_fn(|row| &left[row * stride..][..size.depth]);
    let mut column = 0;
    while column + 4 <= size.used {
        strip::<ROWS, 4>(left, &right[column..], &mut outputs[column..], size);
        column += 4;
    }
    while column < size.used {
        strip::<ROWS, 1>(left, &right[column..], &mut outputs[column..], size);
        column += 1;
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx2,fma")]
fn strip<const ROWS: usize, const VECTORS: usize>(
    left: [&[f32]; ROWS],
    right: &[[f32; 16]],
    outputs: &mut [[f32; 16]],
    size: Size,
) {
    let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
    for row in 0..ROWS {
        for vector in 0..VECTORS {
            sums[row][vector] = load_floats(&outputs[row * size.width + vector]);
        }
    }
    for depth in 0..size.depth {
        let right: &[[f32; 16]; VECTORS] = right[depth * size.width..]
            .first_chunk()
            .expect("a row of the right has the width");
        let vectors: [__m512; VECTORS] = std::array::from_fn(|vector| load_floats(&right[vector]));
        for row in 0..ROWS {
            let factor = _mm512_set1_ps(left[row][depth]);
            for vector in 0..VECTORS {
                sums[row][vector] = _mm512_fmadd_ps(factor, vectors[vector], sums[row][vector]);
            }
        }
    }
    for row in 0..ROWS {
        for vector in 0..VECTORS {
            outputs[row * size.width + vector] = store(sums[row][vector]);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "loads go through a pointer")]
fn load_floats(values: &[f32; 16]) -> __m512 {
    // SAFETY: sixteen readable floats; the load needs no alignment.
    unsafe { _mm512_loadu_ps(values.as_ptr()) }
}
