//! Tokens to trees, by precedence; macros become nodes of their own.

use crate::{
    ast::{Call, Expr, Node, Presence, Select, SelectKind},
    lexer::{Kind, Token, tokens},
    macros,
    source::Issue,
    value::Value,
};

/// How deep expressions may be nested, as in cel-go.
const DEPTH: usize = 250;
/// How many characters an expression may have, as in cel-go.
const LENGTH: usize = 100_000;
/// Words that are no names.
pub(crate) const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
    "in",
];
/// Binary operators by precedence, the loosest first; `||` and `&&` are flattened.
const LEVELS: &[&[(&str, &str)]] = &[
    &[("||", "_||_")],
    &[("&&", "_&&_")],
    &[
        ("<", "_<_"),
        ("<=", "_<=_"),
        (">", "_>_"),
        (">=", "_>=_"),
        ("==", "_==_"),
        ("!=", "_!=_"),
        ("in", "@in"),
    ],
    &[("+", "_+_"), ("-", "_-_")],
    &[("*", "_*_"), ("/", "_/_"), ("%", "_%_")],
];

/// Parses a whole source.
pub(crate) fn parse(source: &[char]) -> Result<Expr, Issue> {
    if source.len() > LENGTH {
        return Err(Issue::new(
            0,
            format!(
                "expression code point size exceeds limit: size: {}, limit {LENGTH}",
                source.len()
            ),
        ));
    }
    let mut parser = Parser {
        tokens: tokens(source)?,
        next: 0,
        depth: 0,
    };
    let expr = parser.expression()?;
    if *parser.peek() != Kind::End {
        return Err(parser.unexpected());
    }
    Ok(expr)
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Kind {
        self.tokens.get(self.next).map_or(&Kind::End, |token| &token.kind)
    }

    fn at(&self) -> usize {
        let token = self.tokens.get(self.next).or(self.tokens.last());
        token.map_or(0, |token| token.at)
    }

    fn unexpected(&self) -> Issue {
        let text = match self.peek() {
            Kind::End => "mismatched input '<EOF>'".to_owned(),
            Kind::Symbol(symbol) => format!("mismatched input '{symbol}'"),
            Kind::Ident(name) => format!("mismatched input '{name}'"),
            Kind::Int(_)
            | Kind::Uint(_)
            | Kind::Double(_)
            | Kind::String(_)
            | Kind::Bytes(_)
            | Kind::Quoted(_) => "mismatched input".to_owned(),
        };
        Issue::new(self.at(), format!("Syntax error: {text}"))
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Kind::Symbol(found) if *found == symbol);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), Issue> {
        if self.take(symbol) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn deeper(&mut self) -> Result<(), Issue> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Issue::new(
                self.at(),
                format!("expression recursion limit exceeded: {DEPTH}"),
            ));
        }
        Ok(())
    }

    fn expression(&mut self) -> Result<Expr, Issue> {
        self.deeper()?;
        let condition = self.binary(0)?;
        let at = self.at();
        let expr = if self.take("?") {
            let then = self.binary(0)?;
            self.expect(":")?;
            let otherwise = self.expression()?;
            Expr {
                at,
                node: Node::Choice(Box::new([condition, then, otherwise])),
            }
        } else {
            condition
        };
        self.depth -= 1;
        Ok(expr)
    }

    /// The operator that comes next: how tightly it binds, and its function.
    fn operator(&self) -> Option<(usize, &'static str)> {
        let word = match self.peek() {
            Kind::Symbol(symbol) => *symbol,
            Kind::Ident(name) => name.as_str(),
            _ => return None,
        };
        LEVELS.iter().enumerate().find_map(|(level, operators)| {
            let found = operators.iter().find(|(symbol, _)| *symbol == word);
            found.map(|(_, name)| (level, *name))
        })
    }

    /// Operands and operators that bind at least as tightly as the level.
    fn binary(&mut self, lowest: usize) -> Result<Expr, Issue> {
        let depth = self.depth;
        let mut left = self.unary()?;
        while let Some((level, name)) = self.operator().filter(|(level, _)| *level >= lowest) {
            let at = self.at();
            self.next += 1;
            let right = self.binary(level + 1)?;
            if level > 1 {
                self.deeper()?;
            }
            left = combine(at, name, left, right);
        }
        self.depth = depth;
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, Issue> {
        let at = self.at();
        for (symbol, name) in [("!", "!_"), ("-", "-_")] {
            let mut count = 0_usize;
            while self.take(symbol) {
                count += 1;
            }
            if count == 0 {
                continue;
            }
            if symbol == "-" && count == 1 && matches!(self.peek(), Kind::Int(_) | Kind::Double(_)) {
                return self.postfix(at, true);
            }
            let operand = self.unary_operand()?;
            return Ok(if count.is_multiple_of(2) {
                operand
            } else {
                call(at, name, vec![operand])
            });
        }
        self.postfix(at, false)
    }

    fn unary_operand(&mut self) -> Result<Expr, Issue> {
        let at = self.at();
        self.deeper()?;
        let operand = if matches!(self.peek(), Kind::Symbol("!" | "-")) {
            self.unary()?
        } else {
            self.postfix(at, false)?
        };
        self.depth -= 1;
        Ok(operand)
    }

    /// A primary expression and what follows it: fields, calls, indices.
    fn postfix(&mut self, at: usize, negative: bool) -> Result<Expr, Issue> {
        let depth = self.depth;
        let mut expr = self.primary(at, negative)?;
        loop {
            let at = self.at();
            if self.take(".") {
                expr = self.member(expr, at)?;
            } else if self.take("[") {
                let presence = if self.take("?") {
                    Presence::Optional
                } else {
                    Presence::Required
                };
                let index = self.expression()?;
                self.expect("]")?;
                expr = Expr {
                    at,
                    node: Node::Index(Box::new(expr), Box::new(index), presence),
                };
            } else {
                self.depth = depth;
                return Ok(expr);
            }
            self.deeper()?;
        }
    }

    fn member(&mut self, operand: Expr, dot: usize) -> Result<Expr, Issue> {
        let optional = self.take("?");
        let field = match self.peek().clone() {
            Kind::Ident(name) if name != "in" && !matches!(&*name, "true" | "false" | "null") => name,
            Kind::Quoted(name) => name,
            _ => return Err(self.unexpected()),
        };
        self.next += 1;
        let at = self.at();
        if !optional && self.take("(") {
            let args = self.arguments(")")?;
            return macros::member(at, operand, &field, args).map(|found| match found {
                Ok(expr) => expr,
                Err((operand, mut args)) => {
                    args.insert(0, operand);
                    member_call(at, &field, args)
                }
            });
        }
        let kind = if optional {
            SelectKind::Optional
        } else {
            SelectKind::Value
        };
        Ok(Expr {
            at: dot,
            node: Node::Select(Box::new(Select { operand, field, kind })),
        })
    }

    fn arguments(&mut self, end: &str) -> Result<Vec<Expr>, Issue> {
        let mut list = Vec::new();
        if self.take(end) {
            return Ok(list);
        }
        loop {
            list.push(self.expression()?);
            if self.take(end) {
                return Ok(list);
            }
            self.expect(",")?;
        }
    }

    fn primary(&mut self, at: usize, negative: bool) -> Result<Expr, Issue> {
        let kind = self.peek().clone();
        let literal = match kind {
            Kind::Int(number) => Value::Int(
                whole(number, negative)
                    .ok_or_else(|| Issue::new(self.at(), "Syntax error: invalid int literal"))?,
            ),
            Kind::Uint(number) => Value::Uint(number),
            Kind::Double(number) => Value::Double(if negative { -number } else { number }),
            Kind::String(text) => Value::from(text),
            Kind::Bytes(bytes) => Value::Bytes(bytes.into()),
            Kind::Ident(name) => return self.name(at, name),
            Kind::Symbol(symbol) => return self.grouped(at, symbol),
            Kind::Quoted(_) | Kind::End => return Err(self.unexpected()),
        };
        self.next += 1;
        Ok(Expr {
            at,
            node: Node::Literal(literal),
        })
    }

    fn name(&mut self, at: usize, name: String) -> Result<Expr, Issue> {
        let literal = match name.as_str() {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "null" => Some(Value::Null),
            _ => None,
        };
        if let Some(value) = literal {
            self.next += 1;
            return Ok(Expr {
                at,
                node: Node::Literal(value),
            });
        }
        if name == "in" {
            return Err(self.unexpected());
        }
        if RESERVED.contains(&name.as_str()) {
            return Err(Issue::new(at, format!("reserved identifier: {name}")));
        }
        self.next += 1;
        let open = self.at();
        if self.take("(") {
            let args = self.arguments(")")?;
            return macros::global(open, &name, args).map(|found| match found {
                Ok(expr) => expr,
                Err(args) => call(open, &name, args),
            });
        }
        if matches!(self.peek(), Kind::Symbol("{")) {
            return Err(Issue::new(
                open,
                format!("undeclared reference to '{name}' (in container '')"),
            ));
        }
        Ok(Expr {
            at,
            node: Node::Ident(name),
        })
    }

    fn grouped(&mut self, at: usize, symbol: &str) -> Result<Expr, Issue> {
        match symbol {
            "(" => {
                self.next += 1;
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            "[" => {
                self.next += 1;
                self.list(at)
            }
            "{" => {
                self.next += 1;
                self.map(at)
            }
            "." => {
                self.next += 1;
                match self.peek().clone() {
                    Kind::Ident(name) => self.name(at, name),
                    _ => Err(self.unexpected()),
                }
            }
            _ => Err(self.unexpected()),
        }
    }

    fn list(&mut self, at: usize) -> Result<Expr, Issue> {
        let mut list = Vec::new();
        while !self.take("]") {
            let presence = if self.take("?") {
                Presence::Optional
            } else {
                Presence::Required
            };
            list.push((self.expression()?, presence));
            if !self.take(",") {
                self.expect("]")?;
                break;
            }
        }
        Ok(Expr {
            at,
            node: Node::List(list),
        })
    }

    fn map(&mut self, at: usize) -> Result<Expr, Issue> {
        let mut entries = Vec::new();
        while !self.take("}") {
            let presence = if self.take("?") {
                Presence::Optional
            } else {
                Presence::Required
            };
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?, presence));
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(Expr {
            at,
            node: Node::Map(entries),
        })
    }
}

/// An operator's expression; chains of `&&` and of `||` stay flat.
fn combine(at: usize, name: &str, left: Expr, right: Expr) -> Expr {
    let node = match (name, left) {
        (
            "_||_",
            Expr {
                node: Node::Any(mut list),
                ..
            },
        ) => {
            list.push(right);
            Node::Any(list)
        }
        (
            "_&&_",
            Expr {
                node: Node::All(mut list),
                ..
            },
        ) => {
            list.push(right);
            Node::All(list)
        }
        ("_||_", left) => Node::Any(vec![left, right]),
        ("_&&_", left) => Node::All(vec![left, right]),
        (name, left) => return call(at, name, vec![left, right]),
    };
    Expr { at, node }
}

fn whole(number: u64, negative: bool) -> Option<i64> {
    let number = i128::from(number);
    i64::try_from(if negative { -number } else { number }).ok()
}

/// A call of a global function or an operator.
pub(crate) fn call(at: usize, name: &str, args: Vec<Expr>) -> Expr {
    make_call(at, name, args, false)
}

fn member_call(at: usize, name: &str, args: Vec<Expr>) -> Expr {
    make_call(at, name, args, true)
}

fn make_call(at: usize, name: &str, args: Vec<Expr>, member: bool) -> Expr {
    Expr {
        at,
        node: Node::Call(Box::new(Call {
            name: name.to_owned(),
            member,
            args,
            overloads: None,
        })),
    }
}
