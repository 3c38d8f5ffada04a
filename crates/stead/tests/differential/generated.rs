//! Sequences of applies and patches that are made up: over every kind of list and map of `definitions.yaml`, by several
//! managers. Some are the same in every run, some are new in each; `DIFFERENTIAL_SEED` repeats those.

use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Map, Value, json};

use crate::script::Case;

/// How many sequences are the same in every run.
const FIXED: usize = 100;
/// How many are new.
const NEW: usize = 20;

/// The sequences of a run.
pub(crate) fn cases(seed: u64) -> Vec<Case> {
    let fixed = sequences(0, FIXED).into_iter().enumerate();
    let fixed = fixed.map(|(index, steps)| made(index.to_string(), steps));
    let new = sequences(seed, NEW).into_iter().enumerate();
    let new = new.map(|(index, steps)| made(format!("{index} of DIFFERENTIAL_SEED={seed}"), steps));
    fixed.chain(new).collect()
}

fn made(name: String, steps: Vec<Value>) -> Case {
    Case {
        theme: "generated".into(),
        name,
        steps,
    }
}

fn sequences(seed: u64, count: usize) -> Vec<Vec<Value>> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let strategy = vec(step(), 3..7);
    (0..count)
        .map(|_| strategy.new_tree(&mut runner).expect("a sequence").current())
        .collect()
}

/// One request about one widget.
fn step() -> impl Strategy<Value = Value> {
    let manager = || select(vec!["one", "two", "three"]);
    let apply = (manager(), any::<bool>(), spec()).prop_map(|(manager, force, spec)| {
        let path = format!("PATCH $widgets/g?fieldManager={manager}&force={force}");
        json!({path: object(&json!({"spec": spec})), "type": "apply"})
    });
    let patch = (manager(), spec()).prop_map(|(manager, spec)| {
        let path = format!("PATCH $widgets/g?fieldManager={manager}");
        json!({path: {"spec": spec}, "type": "merge"})
    });
    let status = (manager(), conditions()).prop_map(|(manager, conditions)| {
        let path = format!("PATCH $widgets/g/status?fieldManager={manager}&force=true");
        json!({path: object(&json!({"status": {"conditions": conditions}})), "type": "apply"})
    });
    prop_oneof![6 => apply, 2 => patch, 1 => status]
}

fn object(parts: &Value) -> Value {
    let mut object = json!({"apiVersion": "diff.test/v1", "kind": "Widget", "metadata": {"name": "g"}});
    let (to, from) = (object.as_object_mut().expect("a map"), parts.as_object());
    to.extend(
        from.into_iter()
            .flatten()
            .map(|(name, part)| (name.clone(), part.clone())),
    );
    object
}

fn spec() -> impl Strategy<Value = Value> {
    vec(field(), 0..5).prop_map(|fields| fields.into_iter().collect())
}

fn word() -> impl Strategy<Value = Value> {
    select(vec!["a", "b", "c"]).prop_map(Value::from)
}

fn words() -> impl Strategy<Value = Value> {
    subsequence(vec!["a", "b", "c"], 0..=3)
        .prop_shuffle()
        .prop_map(Value::from)
}

fn map() -> impl Strategy<Value = Value> {
    vec((select(vec!["k", "l", "m"]), word()), 0..4).prop_map(collected)
}

fn collected(members: Vec<(&'static str, Value)>) -> Value {
    let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
    Value::Object(members.collect::<Map<_, _>>())
}

/// A member that may be left out.
fn maybe<S: Strategy<Value = Value>>(
    name: &'static str,
    value: S,
) -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    proptest::option::of(value).prop_map(move |value| value.into_iter().map(|value| (name, value)).collect())
}

fn field() -> impl Strategy<Value = (String, Value)> {
    let scalar = prop_oneof![
        select(vec!["red", "green", "blue"]).prop_map(|color| ("color", Value::from(color))),
        (0..9).prop_map(|size| ("size", Value::from(size))),
        word().prop_map(|note| ("note", note)),
        any::<bool>().prop_map(|on| ("on", Value::from(on))),
    ];
    let list = prop_oneof![
        vec(word(), 0..4).prop_map(|tags| ("tags", Value::from(tags))),
        words().prop_map(|words| ("words", words)),
        subsequence(vec![1, 2, 3], 0..=3)
            .prop_shuffle()
            .prop_map(|numbers| ("numbers", Value::from(numbers))),
        ports().prop_map(|ports| ("ports", ports)),
        parts().prop_map(|parts| ("parts", parts)),
    ];
    let maps = prop_oneof![
        map().prop_map(|options| ("options", options)),
        map().prop_map(|whole| ("whole", whole)),
        (maybe("a", word()), maybe("b", (0..3).prop_map(Value::from)))
            .prop_map(|(a, b)| ("struct", collected([a, b].concat()))),
        deep().prop_map(|deep| ("deep", deep)),
        free().prop_map(|free| ("free", collected(vec![("f", free)]))),
    ];
    prop_oneof![2 => scalar, 5 => list, 4 => maps].prop_map(|(name, value)| (name.to_owned(), value))
}

fn ports() -> impl Strategy<Value = Value> {
    let keys = vec![(1, Some("TCP")), (1, Some("UDP")), (2, None), (3, Some("TCP"))];
    let port = |(port, protocol): (i32, Option<&'static str>)| {
        (maybe("name", word()), maybe("options", map())).prop_map(move |(name, options)| {
            let mut members = vec![("port", Value::from(port))];
            members.extend(protocol.map(|protocol| ("protocol", protocol.into())));
            collected([members, name, options].concat())
        })
    };
    subsequence(keys, 0..=3)
        .prop_shuffle()
        .prop_flat_map(move |keys| keys.into_iter().map(port).collect::<Vec<_>>())
        .prop_map(Value::from)
}

fn parts() -> impl Strategy<Value = Value> {
    let part = |id: &'static str| {
        let inner = (maybe("a", word()), maybe("b", word())).prop_map(|(a, b)| collected([a, b].concat()));
        let members = (
            maybe("weight", (0..5).prop_map(Value::from)),
            maybe("labels", words()),
            maybe("inner", inner),
        );
        members.prop_map(move |(weight, labels, inner)| {
            collected([vec![("id", id.into())], weight, labels, inner].concat())
        })
    };
    subsequence(vec!["x", "y", "z"], 0..=3)
        .prop_shuffle()
        .prop_flat_map(move |ids| ids.into_iter().map(part).collect::<Vec<_>>())
        .prop_map(Value::from)
}

fn deep() -> impl Strategy<Value = Value> {
    let inner = (
        maybe("x", word()),
        maybe("y", word()),
        maybe("z", (0..9).prop_map(Value::from)),
    )
        .prop_map(|(x, y, z)| collected([x, y, z].concat()));
    (maybe("a", word()), maybe("inner", inner)).prop_map(|(a, inner)| collected([a, inner].concat()))
}

/// What no schema knows.
fn free() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        word(),
        (0..5).prop_map(Value::from),
        any::<bool>().prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((select(vec!["p", "q"]), inner), 0..3).prop_map(collected),
        ]
    })
}

fn conditions() -> impl Strategy<Value = Value> {
    let condition = |kind: &'static str| {
        (select(vec!["True", "False"]), maybe("reason", word())).prop_map(move |(status, reason)| {
            collected([vec![("type", kind.into()), ("status", status.into())], reason].concat())
        })
    };
    subsequence(vec!["Ready", "Busy"], 0..=2)
        .prop_flat_map(move |kinds| kinds.into_iter().map(condition).collect::<Vec<_>>())
        .prop_map(Value::from)
}
