//! Files that lie.

use proptest::prelude::*;

use super::Gguf;
use crate::{
    error::{Error, Result},
    kernels::Level,
    model::{Cache, Config, Network, Pass, Rows, Segment},
    testing::{self, FileOf, Item, LLAMA, Written, write},
    text::Tokenizer,
};

/// Everything that is done with a file, to a first score.
fn use_file(bytes: &[u8]) -> Result<()> {
    let file = write(bytes);
    let gguf = Gguf::open(file.path())?;
    let config = Config::read(&gguf)?;
    let tokenizer = Tokenizer::read(&gguf, config.vocabulary)?;
    let tokens = tokenizer.encode("the <|im_start|>")?;
    let network = Network::load(&gguf, config, 1)?;
    let mut cache = Cache::new(&network.config);
    Pass::new(Level::best()).run(
        &network,
        &mut [Segment {
            tokens: &tokens,
            cache: &mut cache,
            scored: Rows::Last,
        }],
    );
    Ok(())
}

#[test]
fn a_whole_file_is_used() {
    use_file(&testing::model(LLAMA).bytes()).unwrap();
}

#[test]
fn files_that_are_none_are_damaged() {
    for bytes in [
        &b""[..],
        b"GGUF",
        b"not a model file at all, but long enough to be one",
        &[0; 64],
    ] {
        assert!(matches!(use_file(bytes), Err(Error::Damaged(_))), "{bytes:?}");
    }
    assert_eq!(
        Gguf::open("/nowhere/model.gguf".as_ref()).unwrap_err(),
        Error::Missing
    );
}

#[test]
fn a_truncated_file_is_damaged_wherever_it_ends() {
    let bytes = testing::model(LLAMA).bytes();
    let ends = (0..bytes.len()).step_by(1009).chain([bytes.len() - 33]);
    for end in ends {
        assert!(matches!(use_file(&bytes[..end]), Err(Error::Damaged(_))), "{end}");
    }
}

#[test]
fn other_versions_and_huge_counts_are_refused() {
    let mut bytes = testing::model(LLAMA).bytes();
    for version in [1, 4, 3_u32.swap_bytes()] {
        bytes[4..8].copy_from_slice(&version.to_le_bytes());
        assert!(
            matches!(use_file(&bytes), Err(Error::Unsupported(_))),
            "{version}"
        );
    }
    bytes[4..8].copy_from_slice(&3_u32.to_le_bytes());
    for place in [8, 16] {
        let mut bytes = bytes.clone();
        bytes[place..place + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(use_file(&bytes), Err(Error::Damaged(_))), "{place}");
    }
}

#[test]
fn what_the_engine_cannot_do_is_refused_in_one_sentence() {
    let cases: [(&str, Item, &str); 6] = [
        (
            "general.architecture",
            Item::Text("gemma3".to_owned()),
            "its architecture is `gemma3`",
        ),
        (
            "llama.expert_count",
            Item::Integer(8),
            "it is a mixture of experts",
        ),
        (
            "llama.rope.scaling.type",
            Item::Text("yarn".to_owned()),
            "its positions are scaled by `yarn`",
        ),
        (
            "tokenizer.ggml.model",
            Item::Text("t5".to_owned()),
            "its tokenizer is of the kind `t5`",
        ),
        (
            "tokenizer.ggml.pre",
            Item::Text("tekken".to_owned()),
            "its tokenizer cuts texts by the rule `tekken`",
        ),
        (
            "llama.attention.value_length",
            Item::Integer(32),
            "its keys and values differ in length",
        ),
    ];
    for (key, item, message) in cases {
        let mut file = testing::model(LLAMA);
        file.set(key, item);
        assert_eq!(use_file(&file.bytes()), Err(Error::unsupported(message)));
    }
}

#[test]
fn contradictions_are_damage() {
    let number = Item::Integer;
    let cases: [(&str, Item); 8] = [
        ("llama.block_count", number(3)),
        ("llama.block_count", number(u32::MAX)),
        ("llama.attention.head_count_kv", number(3)),
        ("llama.attention.head_count", number(0)),
        ("llama.embedding_length", number(96)),
        ("general.alignment", number(7)),
        ("tokenizer.ggml.eos_token_id", number(1 << 20)),
        ("tokenizer.ggml.merges", Item::Texts(vec!["th".to_owned()])),
    ];
    for (key, item) in cases {
        let mut file = testing::model(LLAMA);
        file.set(key, item);
        let result = use_file(&file.bytes());
        assert!(matches!(result, Err(Error::Damaged(_))), "{key}: {result:?}");
    }
    let mut file = testing::model(LLAMA);
    file.tensors.retain(|tensor| tensor.0 != "blk.1.ffn_up.weight");
    assert_eq!(
        use_file(&file.bytes()),
        Err(Error::damaged("it has no tensor `blk.1.ffn_up.weight`"))
    );
}

fn small() -> FileOf {
    let mut file = FileOf::default();
    file.set("a", Item::Text("b".to_owned()));
    file.set("c", Item::Numbers(vec![1.0, 2.0]));
    file.set("d", Item::Bool(true));
    file.tensors
        .push(("t".to_owned(), vec![32, 2], Written::Q8, vec![0.5; 64]));
    file
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_changed_file_is_used_or_refused_and_never_more(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        in_header in any::<bool>(),
    ) {
        let mut bytes = testing::model(LLAMA).bytes();
        let length = if in_header { 1200 } else { bytes.len() };
        for (index, byte) in changes {
            bytes[index.index(length)] = byte;
        }
        let _ = use_file(&bytes);
    }

    #[test]
    fn a_changed_small_header_is_read_or_refused(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        end in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = small().bytes();
        let length = bytes.len();
        for (index, byte) in changes {
            bytes[index.index(length)] = byte;
        }
        let file = write(&bytes[..end.index(length)]);
        let _ = Gguf::open(file.path());
    }
}
