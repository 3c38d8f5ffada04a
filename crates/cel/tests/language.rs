//! The language and its libraries, by tables of expressions. Examples follow Kubernetes' documentation of validation
//! rules and of its CEL libraries, cel-spec's language definition, and cel-go's documentation of its extensions.
#![expect(clippy::panic, reason = "tests")]

use std::{collections::BTreeMap, sync::Arc};

use stead_cel::{Budget, Fault, Key, ObjectType, Program, Type, Value};

fn self_type() -> Type {
    let fields = [
        ("name", Type::String),
        ("size", Type::Int),
        ("ratio", Type::Double),
        ("tags", Type::String.list()),
        ("labels", Type::String.map()),
        ("port", Type::Dyn),
        ("missing", Type::String),
        ("x__dash__y", Type::Int),
    ];
    Type::Object(Arc::new(ObjectType {
        name: "selfType".into(),
        fields: fields.map(|(name, kind)| (name.to_owned(), kind)).into(),
    }))
}

fn self_value() -> Value {
    let map = |entries: Vec<(&str, Value)>| {
        let entries = entries
            .into_iter()
            .map(|(name, value)| (Key::String(name.into()), value));
        Value::Map(Arc::new(entries.collect::<BTreeMap<_, _>>()))
    };
    map(vec![
        ("name", "web".into()),
        ("size", Value::Int(3)),
        ("ratio", Value::Double(0.5)),
        ("tags", vec!["a".into(), "b".into()].into()),
        ("labels", map(vec![("app", "x".into()), ("tier", "y".into())])),
        ("port", "http".into()),
        ("x__dash__y", Value::Int(7)),
    ])
}

fn evaluate(source: &str) -> Result<Value, Fault> {
    let program = Program::compile(source, &[("self", self_type())])
        .unwrap_or_else(|error| panic!("{source}\n{error}"));
    program.evaluate(&[("self", self_value())], &mut Budget::new(1_000_000))
}

#[track_caller]
fn all_true(sources: &[&str]) {
    for source in sources {
        assert_eq!(evaluate(source), Ok(Value::Bool(true)), "{source}");
    }
}

#[test]
fn operators_follow_the_language_definition() {
    all_true(&[
        "1 + 2 * 3 == 7",
        "(1 + 2) * 3 == 9",
        "7 % 4 == 3 && 7 / 2 == 3 && -7 / 2 == -3",
        "1.5 + 1.5 == 3.0",
        "dyn(3) == 3.0 && dyn(3u) == 3 && 2 < 2.5 && 2u < 3",
        "'a' + 'b' == 'ab' && b'a' + b'b' == b'ab'",
        "[1] + [2] == [1, 2]",
        "!(true && false) && (true || false)",
        "true ? 1 == 1 : 1 == 2",
        "1 in [1, 2] && !(3 in [1, 2])",
        "'a' in {'a': 1} && !('b' in {'a': 1})",
        "[1, 2][1] == 2 && {'a': 1}['a'] == 1",
        "'a' < 'b' && false < true",
        "-(-1) == 1 && !!true && --1 == 1",
        "0x1F == 31 && 1e3 == 1000.0",
        r"'\u00e9\n' == 'é\n' && r'\n'.size() == 2 && '''a'b''' == 'a\'b'",
        "duration('1h') + duration('30m') == duration('90m')",
        "timestamp('2024-01-01T00:00:00Z') + duration('24h') == timestamp('2024-01-02T00:00:00Z')",
        "timestamp('2024-01-02T00:00:00Z') - timestamp('2024-01-01T00:00:00Z') == duration('24h')",
        "size('é') == 1 && 'abc'.size() == 3 && size([1]) == 1 && size({'a': 1}) == 1",
        "type(1) == int && type('a') == string && type([]) == list",
        "// a comment\n true",
    ]);
}

#[test]
fn what_decides_wins_over_a_fault_elsewhere() {
    all_true(&[
        "self.size == 3 || 1 / 0 == 1",
        "1 / 0 == 1 || self.size == 3",
        "!(1 / 0 == 1 && false)",
        "[1, 0].exists(x, 4 / x == 4)",
        "![0, 1].all(x, 4 / x == 5)",
    ]);
    for (source, fault) in [
        ("1 / 0 == 1", "division by zero"),
        ("1 % 0 == 1", "modulus by zero"),
        ("[1][2] == 1", "index out of bounds: 2"),
        ("{'a': 1}['b'] == 1", "no such key: b"),
        ("self.missing == ''", "no such key: missing"),
        ("9223372036854775807 + 1 == 0", "integer overflow"),
        ("self.port + 1 == 2", "no such overload"),
        ("1 / 0 == 1 || false", "division by zero"),
        (
            "int('abc') == 1",
            "strconv.ParseInt: parsing \"abc\": invalid syntax",
        ),
        ("optional.none().value() == 1", "optional.none() dereference"),
        ("[].min() == 1", "min called on empty list"),
    ] {
        assert_eq!(evaluate(source).unwrap_err().to_string(), fault, "{source}");
    }
}

#[test]
fn macros_are_those_of_the_language_and_of_two_variables() {
    all_true(&[
        "has(self.name) && !has(self.missing)",
        "self.tags.all(t, t in ['a', 'b'])",
        "self.tags.exists(t, t == 'b') && self.tags.exists_one(t, t == 'b')",
        "[1, 2, 3].map(x, x * 2) == [2, 4, 6]",
        "[1, 2, 3].map(x, x > 1, x * 2) == [4, 6]",
        "[1, 2, 3].filter(x, x > 1) == [2, 3]",
        "self.labels.all(k, self.labels[k] != '')",
        "{'a': 1, 'b': 2}.map(k, k) == ['a', 'b']",
        "[1, 2].all(i, v, v == i + 1)",
        "{'a': 1}.exists(k, v, k == 'a' && v == 1) && {'a': 1}.existsOne(k, v, v == 1)",
        "[1, 2].transformList(i, v, i * v) == [0, 2]",
        "{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v + 1) == {'b': 3}",
        "{'a': 'x'}.transformMapEntry(k, v, {v: k}) == {'x': 'a'}",
        "[3, 1, 2].sortBy(x, -x) == [3, 2, 1]",
    ]);
}

#[test]
fn optional_values_may_be_absent() {
    all_true(&[
        "self.?missing.orValue('none') == 'none'",
        "self.?name.hasValue() && self.?name.value() == 'web'",
        "self.labels[?'nope'].orValue('z') == 'z' && [1][?0] == optional.of(1)",
        "optional.none().or(optional.of(1)).value() == 1",
        "!optional.ofNonZeroValue('').hasValue()",
        "self.?name.optMap(n, n.size()).orValue(0) == 3",
        "self.?name.optFlatMap(n, optional.of(n + '!')).value() == 'web!'",
        "[?self.?missing, 'a'] == ['a'] && {?'k': self.?missing} == {}",
        "[1, 2].first().value() == 1 && [1, 2].last() == optional.of(2) && ![].first().hasValue()",
        "optional.unwrap([optional.of(1), optional.none()]) == [1]",
    ]);
}

#[test]
fn texts_have_the_functions_of_the_standard_and_the_extension() {
    all_true(&[
        "'abc'.contains('b') && 'abc'.startsWith('a') && 'abc'.endsWith('c')",
        "'abc'.matches('^a.c$') && matches('abc', 'b')",
        "'hello'.charAt(4) == 'o' && 'hello'.charAt(5) == ''",
        "'hello mellow'.indexOf('ello') == 1 && 'hello mellow'.indexOf('ello', 2) == 7 && 'a'.indexOf('x') == -1",
        "'hello mellow'.lastIndexOf('ello') == 7 && 'hello mellow'.lastIndexOf('ello', 6) == 1",
        "'TacoCat'.lowerAscii() == 'tacocat' && 'TacoCat'.upperAscii() == 'TACOCAT'",
        "'hello hello'.replace('he', 'we') == 'wello wello' && 'hello hello'.replace('he', 'we', 1) == 'wello hello'",
        "'a b c'.split(' ') == ['a', 'b', 'c'] && 'a b c'.split(' ', 2) == ['a', 'b c'] && 'a b'.split(' ', 0) == []",
        "'abc'.split('') == ['a', 'b', 'c']",
        "'tacocat'.substring(4) == 'cat' && 'tacocat'.substring(0, 4) == 'taco'",
        "'  a '.trim() == 'a' && ['x', 'y'].join() == 'xy' && ['x', 'y'].join('-') == 'x-y'",
        "strings.quote('a\"b') == '\"a\\\\\"b\"'",
        "'%s is %d, %.2f, %x%%'.format(['n', 3, 1.5, 255]) == 'n is 3, 1.50, ff%'",
        "'%s'.format([[dyn(1), 'a']]) == '[1, \"a\"]' && '%s'.format([{'k': true}]) == '{\"k\":true}'",
        "'%e'.format([1052.032911275]) == '1.052033×10⁰³' && '%b %o'.format([5, 8]) == '101 10'",
        "'abc 123'.find('[0-9]+') == '123' && 'abc'.find('[0-9]') == ''",
        "'1 2 3'.findAll('[0-9]') == ['1', '2', '3'] && '1 2 3'.findAll('[0-9]', 2) == ['1', '2']",
        "int('5') == 5 && string(5) == '5' && double('1.5') == 1.5 && string(1.0) == '1' && string(1e8) == '1e+08' && string(0.00001) == '1e-05' && bool('true')",
        "string(duration('90m')) == '5400s' && string(timestamp('2024-01-01T00:00:00Z')) == '2024-01-01T00:00:00Z'",
    ]);
}

#[test]
fn lists_have_kubernetes_functions_and_the_extensions() {
    all_true(&[
        "[1, 3].isSorted() && !['b', 'a'].isSorted() && [].isSorted()",
        "[1, 3].sum() == 4 && [1.5, 0.5].sum() == 2.0 && [].sum() == 0",
        "[1, 3].min() == 1 && ['a', 'z'].max() == 'z'",
        "[1, 2, 2, 3].indexOf(2) == 1 && [1, 2, 2, 3].lastIndexOf(2) == 2 && [1].indexOf(9) == -1",
        "[1, 2, 3].slice(1, 3) == [2, 3] && [[1], [2, 3]].flatten() == [1, 2, 3]",
        "[3, 1, 2].sort() == [1, 2, 3] && [1, 2].reverse() == [2, 1] && [1, 1, 2].distinct() == [1, 2]",
        "lists.range(3) == [0, 1, 2]",
        "sets.contains([1, 2], [1]) && sets.equivalent([1, 2], [2, 1, 1]) && sets.intersects([1], [1, 2])",
    ]);
}

#[test]
fn times_have_parts() {
    all_true(&[
        "timestamp('2024-02-29T12:34:56.789Z').getFullYear() == 2024",
        "timestamp('2024-02-29T12:34:56.789Z').getMonth() == 1",
        "timestamp('2024-02-29T12:34:56.789Z').getDate() == 29",
        "timestamp('2024-02-29T12:34:56.789Z').getDayOfMonth() == 28",
        "timestamp('2024-02-29T12:34:56.789Z').getDayOfWeek() == 4",
        "timestamp('2024-02-29T12:34:56.789Z').getDayOfYear() == 59",
        "timestamp('2024-02-29T23:34:56.789Z').getHours('+02:00') == 1",
        "timestamp('2024-02-29T12:34:56.789Z').getMilliseconds() == 789",
        "timestamp('2024-07-01T12:00:00Z').getHours('Europe/Berlin') == 14",
        "timestamp('2024-01-01T12:00:00Z').getHours('America/New_York') == 7",
        "duration('3h7m').getHours() == 3 && duration('3h7m').getMinutes() == 187",
        "int(timestamp('1970-01-01T00:01:00Z')) == 60",
    ]);
}

#[test]
fn addresses_urls_quantities_versions_and_formats_are_kubernetes_own() {
    all_true(&[
        "url('https://user@example.com:80/a%20b?x=1&x=2&y').getHost() == 'example.com:80'",
        "url('https://example.com:80/a%20b?x=1').getEscapedPath() == '/a%20b'",
        "url('https://[::1]:80/').getHostname() == '::1' && url('https://[::1]:80/').getPort() == '80'",
        "url('https://e.com/?x=1&x=2').getQuery() == {'x': ['1', '2']} && url('/path').getScheme() == ''",
        "isURL('https://example.com/') && !isURL('../relative') && !isURL('example')",
        "isIP('127.0.0.1') && isIP('::1') && !isIP('127.0.0.256') && !isIP('::ffff:1.2.3.4')",
        "ip('127.0.0.1').family() == 4 && ip('::1').isLoopback() && !ip.isCanonical('2001:DB8::ABCD')",
        "ip('224.0.0.1').isLinkLocalMulticast() && !ip('224.0.1.1').isLinkLocalMulticast()",
        "ip('169.254.169.254').isLinkLocalUnicast() && ip('192.168.0.1').isGlobalUnicast()",
        "!ip('255.255.255.255').isGlobalUnicast() && !ip('ff00::1').isGlobalUnicast()",
        "cidr('192.168.0.0/24').containsIP('192.168.0.1') && !cidr('192.168.0.0/24').containsIP(ip('192.168.1.1'))",
        "cidr('192.168.0.0/16').containsCIDR('192.168.10.0/24')",
        "cidr('192.168.0.1/24').masked() == cidr('192.168.0.0/24') && cidr('::1/128').prefixLength() == 128",
        "cidr('0.0.0.0/0').containsIP('1.2.3.4') && string(cidr('10.0.0.0/8')) == '10.0.0.0/8'",
        "isCIDR('::1/128') && !isCIDR('::1/129') && !isCIDR('1.2.3.4')",
        "quantity('1.5Gi').isGreaterThan(quantity('1Gi')) && quantity('200M').compareTo(quantity('0.2G')) == 0",
        "quantity('50k').add(20000).asInteger() == 70000 && quantity('50k').sub(quantity('20k')) == quantity('30k')",
        "isQuantity('1.3Gi') && !isQuantity('1,3G') && sign(quantity('-5')) == -1 && !quantity('0.5').isInteger()",
        "semver('1.2.3').major() == 1 && semver('1.0.0-rc.1').isLessThan(semver('1.0.0')) && semver('v1.0', true) == semver('1.0.0')",
        "isSemver('1.2.3') && !isSemver('v1.0') && semver('1.2.3').compareTo(semver('1.2.4')) == -1",
        "!format.dns1123Label().validate('my-label').hasValue()",
        "format.dns1123Label().validate('My').hasValue() && format.named('uuid').hasValue()",
        "format.qualifiedName().validate('a.b/c') == optional.none() && format.date().validate('2024-13-01').hasValue()",
    ]);
}

#[test]
fn types_are_checked_with_the_original_words() {
    for (source, message) in [
        (
            "self.nope == 1",
            "ERROR: <input>:1:5: undefined field 'nope'\n | self.nope == 1\n | ....^",
        ),
        (
            "self.size + self.name == 1",
            "ERROR: <input>:1:11: found no matching overload for '_+_' applied to '(int, string)'\n | self.size + self.name == 1\n | ..........^",
        ),
        (
            "other == 1",
            "ERROR: <input>:1:1: undeclared reference to 'other' (in container '')\n | other == 1\n | ^",
        ),
        (
            "frobnicate(self.name)",
            "ERROR: <input>:1:11: undeclared reference to 'frobnicate' (in container '')\n | frobnicate(self.name)\n | ..........^",
        ),
        (
            "self.name.reverse()",
            "ERROR: <input>:1:18: found no matching overload for 'reverse' applied to 'string.()'\n | self.name.reverse()\n | .................^",
        ),
        (
            "self.size.all(x, true)",
            "ERROR: <input>:1:5: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)\n | self.size.all(x, true)\n | ....^",
        ),
        (
            "[1, 'a'] == []",
            "ERROR: <input>:1:5: expected type 'int' but found 'string'\n | [1, 'a'] == []\n | ....^",
        ),
        (
            "self.size == null",
            "ERROR: <input>:1:11: found no matching overload for '_==_' applied to '(int, null)'\n | self.size == null\n | ..........^",
        ),
        (
            "self.name.matches('(')",
            "ERROR: <input>:1:19: invalid matches argument\n | self.name.matches('(')\n | ..................^",
        ),
    ] {
        let error = Program::compile(source, &[("self", self_type())]).unwrap_err();
        if source.contains("matches") {
            assert!(error.contains("invalid matches argument"), "{error}");
        } else {
            assert_eq!(error, message, "{source}");
        }
    }
    for source in [
        "",
        "1 +",
        "(1",
        "a.",
        "'unterminated",
        "1 2",
        "for",
        "has(1)",
        "[1].map(1, 2)",
        "@",
        "{'a'}",
    ] {
        assert!(Program::compile(source, &[]).is_err(), "{source}");
    }
}

#[test]
fn a_budget_ends_what_takes_too_long() {
    let nested = "[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3,4,5,6,7,8,9].all(c, \
                  [1,2,3,4,5,6,7,8,9].all(d, [1,2,3,4,5,6,7,8,9].all(e, [1,2,3,4,5,6,7,8,9].all(f, a > 0))))))";
    let growth = format!(
        "'{}'.replace('', '{}').replace('', '{}').size() > 0",
        "a".repeat(1000),
        "b".repeat(1000),
        "c".repeat(1000)
    );
    for source in [nested, &growth, "lists.range(100000000).size() > 0"] {
        let program = Program::compile(source, &[]).unwrap();
        let mut budget = Budget::new(100_000);
        assert_eq!(program.evaluate(&[], &mut budget), Err(Fault::Cost), "{source}");
        assert_eq!(budget.left(), 0);
    }
}

#[test]
fn deep_and_long_sources_are_refused_or_evaluated_and_never_overflow_the_stack() {
    let deep = format!("{}1{}", "(".repeat(5000), ")".repeat(5000));
    assert!(
        Program::compile(&deep, &[])
            .unwrap_err()
            .contains("recursion limit")
    );
    for source in [
        "-".repeat(3000) + "1",
        "!".repeat(3001) + "true",
        "[".repeat(3000),
        "a.".repeat(3000) + "b",
    ] {
        let _ = Program::compile(&source, &[]);
    }
    let long = vec!["true"; 10_000].join(" && ");
    let program = Program::compile(&long, &[]).unwrap();
    assert_eq!(
        program.evaluate(&[], &mut Budget::new(100_000)),
        Ok(Value::Bool(true))
    );
    assert!(Program::compile(&vec!["1"; 10_000].join(" + "), &[]).is_err());
}
