//! Many entries, and how many of them one project may send.

use super::*;

/// A store with spans in traces of several days, of which some have errors, scores and comments.
pub(super) async fn spans(store: &dyn Traces, count: u32) -> Vec<Uuid> {
    let mut writes = Vec::new();
    let mut ids = Vec::new();
    for number in 0..count {
        // Three days, so that lists go over several files.
        let id = id_at(
            -86_400 * i64::from(number % 3) - i64::from(number),
            u128::from(number) + 10,
        );
        ids.push(id);
        let start = id_time(number);
        let fields = Fields {
            trace_id: Some(id_at(0, 1)),
            name: Some(format!("name{}", (number * 7) % 10)),
            start: Some(start),
            end: start
                .checked_add(jiff::SignedDuration::from_millis(i64::from((number * 13) % 50)))
                .ok(),
            input: Some(json("{\"q\": 1}")),
            error: (number % 4 == 0).then(|| json("{\"message\": \"m\"}")),
            usage: Some([("total_tokens".to_owned(), i64::from((number * 3) % 11))].into()),
            cost: (number % 5 != 0).then(|| f64::from((number * 17) % 23)),
            ..Fields::default()
        };
        writes.push(write(put(Kind::Span, id, fields)));
        if number % 6 == 0 {
            writes.push(Write::Score {
                workspace: "default".into(),
                subject: Subject::Entry(Kind::Span, id),
                score: Score {
                    name: "quality".into(),
                    value: f64::from(number),
                    category: None,
                    reason: None,
                    source: "sdk".into(),
                    queue: None,
                    author: "ada".into(),
                    created: now(),
                    updated: now(),
                },
            });
        }
    }
    store.write(writes).await.unwrap();
    ids
}

pub(super) fn id_time(number: u32) -> Timestamp {
    let back = 86_400 * i64::from(number % 3) + i64::from(number);
    now().checked_sub(jiff::SignedDuration::from_secs(back)).unwrap()
}

#[tokio::test]
async fn who_sends_more_than_its_share_is_told_when_to_come_again_and_others_are_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = TraceStore::open(TraceOptions {
        folder: folder.path().to_owned(),
        retention_days: 30,
        clock: clock(),
        prices: Arc::new(NoPrices),
        rate: 2,
        tasks: Tasks::default(),
    })
    .unwrap();
    spans(&store, 40).await;
    let more = |workspace: &str| {
        vec![write(Put {
            workspace: workspace.into(),
            ..put(Kind::Span, id_at(0, 900), Fields::default())
        })]
    };
    let error = store.write(more("default")).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Exhausted);
    assert!(error.get_retry_after().is_some());
    store.write(more("research")).await.unwrap();
    store.close().await;
}
