//! `--query`: JMESPath, as in the AWS CLI.

use std::collections::HashMap;
use std::str::FromStr;

use jmespath::ast::Ast;
use jmespath::{Expression, Variable};
use serde_json::{Map, Value};

/// More steps than any query that a person types; the parser's own depth knows no bound.
const LONGEST: usize = 500;

/// A query that could be read.
#[derive(Debug, Clone)]
pub struct Query {
    expression: Expression<'static>,
    /// The keys that the query itself makes, in the order of its text.
    keys: Vec<String>,
}

/// What JMESPath has to say against a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unanswered(String);

impl FromStr for Query {
    type Err = Unanswered;

    fn from_str(text: &str) -> Result<Self, Unanswered> {
        let steps = text.chars().filter(|c| "([{!&|.".contains(*c)).count();
        if steps > LONGEST {
            return Err(Unanswered(format!("it has more than {LONGEST} steps")));
        }
        let expression = jmespath::compile(text)
            .map_err(|error| Unanswered(format!("{} (at column {})", reason(&error), error.column + 1)))?;
        let mut keys = Vec::new();
        made_keys(expression.as_ast(), &mut keys);
        Ok(Self { expression, keys })
    }
}

impl Query {
    /// As it was typed.
    pub fn text(&self) -> &str {
        self.expression.as_str()
    }

    /// What it picks from a document. The keys of the answer's objects keep the order that the query or the
    /// document has them in.
    ///
    /// # Errors
    /// When a function is given what it does not take.
    pub(super) fn answer(&self, document: &Value) -> Result<Value, Unanswered> {
        let unanswered = |error: jmespath::JmespathError| Unanswered(reason(&error));
        let variable = Variable::try_from(document).map_err(unanswered)?;
        let found = self.expression.search(variable).map_err(unanswered)?;
        let no_value = || Unanswered("the answer is an expression, not a value".to_owned());
        if matches!(*found, Variable::Expref(_)) {
            return Err(no_value());
        }
        let answer = serde_json::to_value(&*found).map_err(|_| no_value())?;
        let mut ranks = HashMap::new();
        for key in &self.keys {
            let next = ranks.len();
            ranks.entry(key.as_str()).or_insert(next);
        }
        rank(document, &mut ranks);
        Ok(ordered(answer, &ranks))
    }
}

fn reason(error: &jmespath::JmespathError) -> String {
    let text = error.reason.to_string();
    text.trim_start_matches("Parse error: ")
        .trim_start_matches("Runtime error: ")
        .trim()
        .trim_end_matches('.')
        .to_owned()
}

fn made_keys(ast: &Ast, keys: &mut Vec<String>) {
    match ast {
        Ast::MultiHash { elements, .. } => {
            for pair in elements {
                keys.push(pair.key.clone());
                made_keys(&pair.value, keys);
            }
        }
        Ast::MultiList { elements, .. } => elements.iter().for_each(|element| made_keys(element, keys)),
        Ast::Function { args, .. } => args.iter().for_each(|element| made_keys(element, keys)),
        Ast::Comparison { lhs, rhs, .. }
        | Ast::And { lhs, rhs, .. }
        | Ast::Or { lhs, rhs, .. }
        | Ast::Projection { lhs, rhs, .. }
        | Ast::Subexpr { lhs, rhs, .. } => {
            made_keys(lhs, keys);
            made_keys(rhs, keys);
        }
        Ast::Condition { predicate, then, .. } => {
            made_keys(predicate, keys);
            made_keys(then, keys);
        }
        Ast::Expref { ast, .. } => made_keys(ast, keys),
        Ast::Flatten { node, .. } | Ast::Not { node, .. } | Ast::ObjectValues { node, .. } => {
            made_keys(node, keys);
        }
        Ast::Identity { .. }
        | Ast::Field { .. }
        | Ast::Index { .. }
        | Ast::Literal { .. }
        | Ast::Slice { .. } => {}
    }
}

/// Keys of the document, outer ones first. A few thousand distinct ones are enough: further ones (tags) stay in
/// the order of the alphabet.
fn rank<'a>(value: &'a Value, ranks: &mut HashMap<&'a str, usize>) {
    match value {
        Value::Object(members) => {
            for key in members.keys() {
                let next = ranks.len();
                if next < 4096 {
                    ranks.entry(key).or_insert(next);
                }
            }
            members.values().for_each(|member| rank(member, ranks));
        }
        Value::Array(items) => items.iter().for_each(|item| rank(item, ranks)),
        _ => {}
    }
}

fn ordered(value: Value, ranks: &HashMap<&str, usize>) -> Value {
    match value {
        Value::Object(members) => {
            let mut pairs: Vec<(String, Value)> = members
                .into_iter()
                .map(|(key, member)| (key, ordered(member, ranks)))
                .collect();
            pairs.sort_by_key(|(key, _)| ranks.get(key.as_str()).copied().unwrap_or(usize::MAX));
            Value::Object(Map::from_iter(pairs))
        }
        Value::Array(items) => items.into_iter().map(|item| ordered(item, ranks)).collect(),
        scalar => scalar,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(query: &str) -> Result<String, Unanswered> {
        let document = json!({"nodes": [
            {"name": "prod-web", "id": "i-1", "cpus": 2},
            {"name": "prod-db", "id": "i-2", "cpus": 4},
        ]});
        query
            .parse::<Query>()?
            .answer(&document)
            .map(|answer| answer.to_string())
    }

    #[test]
    fn queries_are_answered_as_by_the_aws_cli() {
        assert_eq!(ask("nodes[?cpus>`2`].id").unwrap(), r#"["i-2"]"#);
        assert_eq!(
            ask("nodes[].[name,id]").unwrap(),
            r#"[["prod-web","i-1"],["prod-db","i-2"]]"#
        );
        assert_eq!(ask("length(nodes)").unwrap(), "2");
        assert_eq!(ask("nothing").unwrap(), "null");
    }

    #[test]
    fn keys_keep_their_order() {
        assert_eq!(
            ask("nodes[0]").unwrap(),
            r#"{"name":"prod-web","id":"i-1","cpus":2}"#
        );
        assert_eq!(
            ask("nodes[1].{Name:name,Id:id,A:cpus}").unwrap(),
            r#"{"Name":"prod-db","Id":"i-2","A":4}"#
        );
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        let wrong = "nodes[".parse::<Query>().unwrap_err().to_string();
        assert!(wrong.contains("column 7"), "{wrong}");
        assert!("(".repeat(100_000).parse::<Query>().is_err());
        assert!(ask("abs('x')").unwrap_err().to_string().contains("number"));
        assert!(ask("&name").is_err());
    }
}
