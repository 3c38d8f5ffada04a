//! Tiles against candle's own reading of each format.

use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, QTensor},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{Matrix, pack};
use crate::gguf::Format;

const ROWS: usize = 20;
const COLUMNS: usize = 512;

#[test]
fn every_format_keeps_its_numbers_in_tiles() {
    let formats = [
        (GgmlDType::F32, 0.005),
        (GgmlDType::F16, 0.005),
        (GgmlDType::BF16, 0.005),
        (GgmlDType::Q4_0, 0.001),
        (GgmlDType::Q4_1, 0.0),
        (GgmlDType::Q5_0, 0.005),
        (GgmlDType::Q5_1, 0.005),
        (GgmlDType::Q8_0, 0.0),
        (GgmlDType::Q2K, 0.005),
        (GgmlDType::Q3K, 0.005),
        (GgmlDType::Q4K, 0.002),
        (GgmlDType::Q5K, 0.005),
        (GgmlDType::Q6K, 0.005),
    ];
    let mut random = StdRng::seed_from_u64(5);
    let numbers: Vec<f32> = (0..ROWS * COLUMNS)
        .map(|_| random.random::<f32>() * 2.0 - 1.0)
        .collect();
    let tensor = Tensor::from_vec(numbers, (ROWS, COLUMNS), &Device::Cpu).unwrap();
    for (kind, tolerance) in formats {
        let quantised = QTensor::quantize(&tensor, kind).unwrap();
        let expected = quantised
            .dequantize(&Device::Cpu)
            .unwrap()
            .to_vec2::<f32>()
            .unwrap();
        let bytes = quantised.data().unwrap().into_owned();
        let format = Format {
            kind,
            block: kind.block_size(),
            bytes: kind.type_size(),
        };
        let mut tiles = pack::empty(kind, ROWS, COLUMNS);
        for (row, bytes) in bytes.chunks_exact(bytes.len() / ROWS).enumerate() {
            pack::row(&mut tiles, format, COLUMNS, row, bytes).unwrap();
            assert_eq!(
                pack::plain(format, COLUMNS, bytes).unwrap(),
                expected[row],
                "{kind:?}"
            );
        }
        let matrix = Matrix::new(ROWS, COLUMNS, tiles);
        for (row, expected) in expected.iter().enumerate() {
            let mut numbers = vec![0.0; COLUMNS];
            matrix.copy_row(row, &mut numbers);
            for (number, expected) in numbers.iter().zip(expected) {
                assert!(
                    (number - expected).abs() <= tolerance + 1e-6,
                    "{kind:?}: {number} for {expected}"
                );
            }
        }
    }
}
