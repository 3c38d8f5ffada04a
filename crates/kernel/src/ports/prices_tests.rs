use super::*;

fn tokens(input: u64, output: u64) -> TokenUsage {
    TokenUsage {
        input,
        output,
        ..TokenUsage::default()
    }
}

/// Dollars per million tokens.
fn per_million(dollars: i64) -> PicoUsd {
    PicoUsd(dollars * 1_000_000)
}

#[test]
fn each_sort_of_token_has_a_price_of_its_own_and_none_is_paid_twice() {
    let price = Price {
        tokens: TokenPrices {
            input: per_million(3),
            output: per_million(15),
            cached_input: Some(PicoUsd(300_000)),
            cache_write: Some(PicoUsd(3_750_000)),
            cache_write_hour: Some(per_million(6)),
            reasoning: Some(per_million(20)),
            audio_input: Some(per_million(40)),
            audio_output: Some(per_million(80)),
            image_input: Some(per_million(10)),
            image_output: Some(per_million(30)),
        },
        ..Price::default()
    };
    let table = [
        (tokens(100, 10), 100 * 3_000 + 10 * 15_000),
        (
            TokenUsage {
                cached_input: 40,
                ..tokens(100, 10)
            },
            60 * 3_000 + 40 * 300 + 10 * 15_000,
        ),
        (
            TokenUsage {
                cache_write: 50,
                cache_write_hour: 20,
                ..tokens(100, 0)
            },
            50 * 3_000 + 30 * 3_750 + 20 * 6_000,
        ),
        (
            TokenUsage {
                reasoning: 4,
                audio_output: 3,
                image_output: 2,
                ..tokens(0, 10)
            },
            15_000 + 4 * 20_000 + 3 * 80_000 + 2 * 30_000,
        ),
        (
            TokenUsage {
                audio_input: 7,
                image_input: 2,
                ..tokens(10, 0)
            },
            3_000 + 7 * 40_000 + 2 * 10_000,
        ),
        // A provider that says nonsense is not paid for more tokens than it says there were.
        (
            TokenUsage {
                cached_input: 500,
                cache_write: 500,
                ..tokens(100, 0)
            },
            100 * 300,
        ),
        (
            TokenUsage {
                reasoning: 500,
                ..tokens(0, 10)
            },
            10 * 20_000,
        ),
    ];
    for (usage, expected) in table {
        assert_eq!(price.cost(&usage), NanoUsd(expected), "{usage:?}");
    }
}

#[test]
fn a_price_below_a_nano_dollar_is_rounded_once_and_not_for_each_token() {
    // 0.0375 dollars per million tokens are 37.5 nano-dollars per thousand.
    let price = Price::per_token(PicoUsd(37_500), PicoUsd(0));
    let table = [(1, 38), (2, 75), (1_000, 37_500), (1_000_000, 37_500_000)];
    for (count, expected) in table {
        assert_eq!(price.cost(&tokens(count, 0)), NanoUsd(expected), "{count}");
    }
    assert_eq!(
        Price::per_token(PicoUsd(400), PicoUsd(0)).cost(&tokens(1, 0)),
        NanoUsd(0)
    );
    assert_eq!(
        Price::per_token(PicoUsd(400), PicoUsd(0)).most(&tokens(1, 0)),
        NanoUsd(1)
    );
}

#[test]
fn a_long_input_makes_the_whole_request_dearer() {
    let long = |input, output| TokenPrices {
        input: per_million(input),
        output: per_million(output),
        ..TokenPrices::default()
    };
    let price = Price {
        tokens: long(1, 10),
        tiers: vec![
            Tier {
                above: 200,
                tokens: long(2, 15),
            },
            Tier {
                above: 500,
                tokens: long(4, 20),
            },
        ],
        ..Price::default()
    };
    let table = [
        (200, 200_000 + 10_000),
        (201, 402_000 + 15_000),
        (501, 2_004_000 + 20_000),
    ];
    for (input, expected) in table {
        let usage = tokens(input, 1);
        assert_eq!(price.cost(&usage), NanoUsd(expected), "{input}");
        assert_eq!(price.most(&usage), NanoUsd(expected), "{input}");
    }
}

#[test]
fn what_is_not_a_token_is_paid_by_its_own_unit() {
    let price = Price {
        units: UnitPrices {
            request: Some(PicoUsd(2_000_000)),
            image: Some(PicoUsd(40_000_000_000)),
            audio_second: Some(PicoUsd(100_000_000)),
            character: Some(PicoUsd(15_000_000)),
            gpu_second: Some(PicoUsd(1_000_000_000)),
        },
        ..Price::default()
    };
    let usage = TokenUsage {
        images: 2,
        audio_ms: 1_500,
        characters: 10,
        gpu_ms: 250,
        ..TokenUsage::default()
    };
    let expected = 2_000 + 80_000_000 + 150_000 + 150_000 + 250_000;
    assert_eq!(price.cost(&usage), NanoUsd(expected));
    assert!(price.is_by_time());
}

#[test]
fn a_batch_has_its_discount() {
    let price = Price {
        batch_percent: Some(50),
        ..Price::per_token(per_million(1), per_million(1))
    };
    assert_eq!(price.batch_cost(&tokens(3, 0)), NanoUsd(1_500));
    let none = Price::per_token(per_million(1), per_million(1));
    assert_eq!(none.batch_cost(&tokens(3, 0)), NanoUsd(3_000));
}

#[test]
fn the_most_is_never_less_than_the_cost() {
    let price = Price {
        tokens: TokenPrices {
            input: PicoUsd(1_234),
            output: PicoUsd(5_678),
            cache_write: Some(PicoUsd(2_345)),
            reasoning: Some(PicoUsd(9_999)),
            ..TokenPrices::default()
        },
        tiers: vec![Tier {
            above: 128,
            tokens: TokenPrices {
                input: PicoUsd(900),
                output: PicoUsd(800),
                ..TokenPrices::default()
            },
        }],
        ..Price::default()
    };
    for input in [0, 1, 127, 128, 129, 5_000] {
        for output in [0, 1, 77] {
            for part in [0, 1, 50] {
                let usage = TokenUsage {
                    cache_write: part,
                    reasoning: part,
                    ..tokens(input, output)
                };
                let bound = tokens(input.max(129), output + 3);
                assert!(price.most(&bound) >= price.cost(&usage), "{usage:?}");
            }
        }
    }
}

#[test]
fn nothing_overflows() {
    let price = Price::per_token(PicoUsd(i64::MAX), PicoUsd(i64::MAX));
    assert_eq!(price.cost(&tokens(u64::MAX, u64::MAX)), NanoUsd(i64::MAX));
    assert_eq!(
        Price::per_token(PicoUsd(-5), PicoUsd(0)).cost(&tokens(9, 0)),
        NanoUsd(0)
    );
}
