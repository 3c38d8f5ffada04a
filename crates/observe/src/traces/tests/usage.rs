//! Usage over requests and applications' spans.

use serde_json::json;
use stead_kernel::ports::NanoUsd;

use super::*;

async fn total(stand: &Stand, query: &str) -> Value {
    get(stand, &format!("/api/usage?{query}")).await["total"].clone()
}

#[tokio::test]
async fn a_span_that_made_a_request_is_not_counted_beside_it() {
    let stand = stand(OpikLocal::On);
    let priced = |id: u8, parent: u8, cost: f64| {
        let attributes = vec![
            pair("gen_ai.operation.name", "chat"),
            pair("gen_ai.provider.name", "openai"),
            pair("gen_ai.request.model", "gpt-4o"),
            pair("gen_ai.usage.input_tokens", 10),
            pair("gen_ai.usage.output_tokens", 1),
            pair("gen_ai.usage.cost", cost),
        ];
        span(7, id, parent, u64::from(id), attributes)
    };
    // 2 holds 4, from which a request was made; 3 asked somebody else.
    let spans = vec![
        span(7, 1, 0, 0, Vec::new()),
        priced(2, 1, 0.5),
        priced(3, 1, 0.000_000_3),
        span(7, 4, 2, 3, Vec::new()),
    ];
    tell(&stand, &export(Vec::new(), spans)).await;
    let before = total(&stand, "").await;
    assert_eq!(
        json!([before["spans"]["count"], before["totalCost"]]),
        json!([2, 500_000_300])
    );
    let mut rows = requests();
    rows[0].parent_span_id = "0404040404040404".into();
    let rows = rows.into_iter().map(|row| Event::Request(Box::new(row)));
    stand.world.ports.events.append(rows.collect()).await.unwrap();
    let after = total(&stand, "").await;
    assert_eq!(
        json!([
            after["requests"],
            after["cost"],
            after["spans"]["count"],
            after["spans"]["cost"],
            after["totalCost"]
        ]),
        json!([3, 2_500, 1, 300, 2_800])
    );
    assert_eq!(total(&stand, "of=gateway").await["totalCost"], 2_500);
    assert_eq!(total(&stand, "of=applications").await["totalCost"], 300);
    assert_eq!(total(&stand, "since=2026-11-21T07:00:00Z").await["totalCost"], 0);
    assert_eq!(total(&stand, "projects=research").await["totalCost"], 0);
    stand.store.close().await;
    stand.signals.close().await;
}

#[tokio::test]
async fn the_csv_comes_to_the_total_to_the_billionth_by_whatever_it_is_divided() {
    let stand = world().await;
    let more = (1_u8..=60).map(|id| {
        let model = format!("model-{}", id % 3);
        let attributes = vec![
            pair("gen_ai.operation.name", "chat"),
            pair("gen_ai.request.model", model.as_str()),
            pair("gen_ai.usage.cost", 0.1 + f64::from(id) / 1e9),
        ];
        span(9, id, 0, u64::from(id) * 3_600, attributes)
    });
    tell(&stand, &export(Vec::new(), more.collect())).await;
    let expected = total(&stand, "").await["totalCost"].as_i64().unwrap();
    assert_eq!(expected, 60 * 100_000_000 + 60 * 61 / 2 + 2_500);
    for by in [
        "project",
        "user",
        "key",
        "model",
        "provider",
        "day",
        "hour",
        "model,day,user",
    ] {
        let told = get(&stand, &format!("/api/usage?by={by}")).await;
        assert_eq!(told["total"]["totalCost"], expected, "{by}");
        let csv = send(
            &stand,
            Method::GET,
            &format!("/api/usage?by={by}&format=csv"),
            Body::empty(),
        )
        .await;
        let text = csv.text();
        let costs = text.lines().skip(1).map(|line| {
            let cell = line.rsplit(',').next().unwrap();
            let (dollars, rest) = cell.split_once('.').unwrap();
            dollars.parse::<i64>().unwrap() * 1_000_000_000 + rest.parse::<i64>().unwrap()
        });
        assert_eq!(NanoUsd(costs.sum()), NanoUsd(expected), "{by}");
    }
    stand.store.close().await;
    stand.signals.close().await;
}
