//! The cosine of the angle between two vectors: G. Salton, A. Wong, C. S. Yang, "A vector space model for automatic indexing"
//! (1975), over embeddings as in N. Reimers and I. Gurevych, "Sentence-BERT" (EMNLP 2019).

/// The cosine of two vectors, from -1 to 1; `None` when their lengths differ or one is all zeros.
pub fn cosine(left: &[f32], right: &[f32]) -> Option<f64> {
    if left.len() != right.len() {
        return None;
    }
    let (mut dot, mut a, mut b) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (x, y) in left.iter().zip(right) {
        let (x, y) = (f64::from(*x), f64::from(*y));
        dot += x * y;
        a += x * x;
        b += y * y;
    }
    let length = a.sqrt() * b.sqrt();
    (length > 0.0 && length.is_finite()).then(|| (dot / length).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_is_of_the_angle_alone() {
        let close = |a: Option<f64>, b: f64| (a.unwrap() - b).abs() < 1e-9;
        assert!(close(cosine(&[1.0, 0.0], &[0.0, 3.0]), 0.0));
        assert!(close(cosine(&[1.0, 2.0], &[2.0, 4.0]), 1.0));
        assert!(close(cosine(&[1.0, 2.0], &[-1.0, -2.0]), -1.0));
        assert!(close(cosine(&[1.0, 1.0], &[1.0, 0.0]), 0.5_f64.sqrt()));
        assert_eq!(cosine(&[1.0], &[1.0, 2.0]), None);
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 2.0]), None);
        assert_eq!(cosine(&[], &[]), None);
    }
}
