//! No source and no value makes compilation or evaluation panic, hang or grow.

use proptest::prelude::*;
use stead_cel::{Budget, Program, Type, Value};

fn piece() -> impl Strategy<Value = String> {
    let words = [
        "self",
        "self.a",
        "1",
        "-1",
        "1u",
        "2.5",
        "'t'",
        "b'b'",
        "true",
        "null",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        ",",
        ":",
        "?",
        ".",
        "+",
        "-",
        "*",
        "/",
        "%",
        "==",
        "!=",
        "<",
        ">=",
        "&&",
        "||",
        "!",
        "in",
        "has(self.a)",
        ".all(x, x)",
        ".map(x, [x, x])",
        ".filter(x, true)",
        ".exists(i, v, i == v)",
        ".size()",
        ".matches('a+')",
        ".replace('', 'bb')",
        ".split('')",
        ".format([1])",
        "duration('1h')",
        "timestamp('2024-01-01T00:00:00Z')",
        "quantity('1Gi')",
        "ip('::1')",
        "cidr('10.0.0.0/8')",
        "url('/a')",
        "semver('1.0.0')",
        "optional.none()",
        ".?a",
        "[?0]",
        "lists.range(9)",
        ".flatten()",
        ".sort()",
        ".sum()",
        "9223372036854775807",
        "0x7f",
        "'''",
        "\\",
        "\"",
    ];
    prop_oneof![
        9 => prop::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => "\\PC{0,3}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_source_ends_in_a_value_or_an_error(pieces in prop::collection::vec(piece(), 0..24)) {
        let source = pieces.concat();
        if let Ok(program) = Program::compile(&source, &[("self", Type::Dyn)]) {
            let list: Value = vec![Value::Int(1), "a".into(), Value::Null].into();
            let mut budget = Budget::new(20_000);
            let _ = program.evaluate(&[("self", list)], &mut budget);
        }
    }

    #[test]
    fn any_text_is_refused_or_read(source in "\\PC{0,200}") {
        let _ = Program::compile(&source, &[]);
    }

    #[test]
    fn functions_take_any_text(text in "\\PC{0,40}", other in "\\PC{0,8}", from in -3_i64..40, to in -3_i64..40) {
        for source in [
            "a.indexOf(b, i)", "a.lastIndexOf(b, i)", "a.substring(i, j)", "a.charAt(i)", "a.split(b, i)",
            "a.replace(b, a, i)", "a.format([dyn(b), i, j])", "b.format([a])", "quantity(a)", "semver(a, true)", "url(a)",
            "ip(a)", "cidr(a)", "duration(a)", "timestamp(a)", "a.matches(b)", "a.findAll(b, i)",
            "strings.quote(a)", "format.qualifiedName().validate(a)", "format.uri().validate(a)",
            "format.dns1123LabelPrefix().validate(a)", "timestamp(i).getHours(a)", "[i, j].slice(i, j)", "i / j", "i % j",
            "int(a)", "double(a)", "uint(i)", "duration(i)",
        ] {
            let variables = [("a", Type::String), ("b", Type::String), ("i", Type::Int), ("j", Type::Int)];
            let program = Program::compile(source, &variables);
            prop_assert!(program.is_ok(), "{} {:?}", source, program);
            let values = [
                ("a", text.as_str().into()),
                ("b", other.as_str().into()),
                ("i", Value::Int(from)),
                ("j", Value::Int(to)),
            ];
            if let Ok(program) = program {
                let _ = program.evaluate(&values, &mut Budget::new(100_000));
            }
        }
    }
}
