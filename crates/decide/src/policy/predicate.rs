//! Membership predicates: Cedar expressions over `principal`, compiled to operations on sets of identities.
//!
//! Cedar parses; its JSON form is compiled here to a small tree that is evaluated once for all identities with
//! bitmaps, instead of once an identity. Cedar's treatment of a missing attribute is kept: the expression errs, and
//! an identity for which it errs is no member. So each step yields two sets, "true" and "err", and everybody else is
//! "false"; `&&`, `||` and `if` pass an error on only where Cedar would have evaluated that side.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use leasehold_model::identity::Identity;
use miette::Diagnostic as _;
use roaring::RoaringBitmap;
use serde_json::Value;

/// An expression that cannot be used, with the bytes of the expression that are to blame where they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PredicateError {
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: String,
    /// Bytes of the expression.
    pub span: Option<Range<usize>>,
}

/// A compiled membership predicate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predicate {
    /// As people wrote it.
    pub text: String,
    root: Node,
}

/// A truth value for every identity.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Constant(bool),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Not(Box<Node>),
    If(Box<Node>, Box<Node>, Box<Node>),
    Has(String),
    /// The attribute is one of these values.
    OneOf(String, Vec<String>),
    /// Two attributes have the same value.
    SameAs(String, String),
    Like(String, Vec<Pattern>),
}

/// A piece of a `like` pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Any,
    Literal(char),
}

/// For each attribute that was asked for: which identities have which value.
pub struct Attributes<'identities> {
    identities: &'identities [Identity],
    everybody: RoaringBitmap,
    by_value: HashMap<String, BTreeMap<&'identities str, RoaringBitmap>>,
}

impl<'identities> Attributes<'identities> {
    /// Looks at identities by their positions.
    pub fn new(identities: &'identities [Identity]) -> Self {
        let mut everybody = RoaringBitmap::new();
        everybody.insert_range(0..u32::try_from(identities.len()).unwrap_or(u32::MAX));
        Self { identities, everybody, by_value: HashMap::new() }
    }

    fn values(&mut self, attribute: &str) -> &BTreeMap<&'identities str, RoaringBitmap> {
        let identities = self.identities;
        self.by_value.entry(attribute.to_owned()).or_insert_with(|| {
            let mut values: BTreeMap<&str, RoaringBitmap> = BTreeMap::new();
            for (position, identity) in (0u32..).zip(identities) {
                if let Some(value) = identity.attribute(attribute) {
                    values.entry(value).or_default().insert(position);
                }
            }
            values
        })
    }

    fn having(&mut self, attribute: &str) -> RoaringBitmap {
        self.values(attribute).values().fold(RoaringBitmap::new(), |all, some| all | some)
    }
}

/// For whom an expression is true, and for whom it errs.
struct Truth {
    holds: RoaringBitmap,
    errs: RoaringBitmap,
}

impl Predicate {
    /// Parses and compiles an expression.
    ///
    /// # Errors
    /// Where Cedar cannot parse it, or it uses something that makes no sense for membership.
    pub fn parse(text: &str) -> Result<Self, PredicateError> {
        const BEFORE: &str = "permit(principal, action, resource) when {";
        if text.trim().is_empty() {
            return Err(PredicateError {
                message: "the expression is empty, and membership by nothing would be a guess".to_owned(),
                help: "write who belongs, for example `principal.department == \"Payments\"`; for everybody, `true`"
                    .to_owned(),
                span: Some(0..text.len()),
            });
        }
        let source = format!("{BEFORE}{text}\n}};");
        let policy = cedar_policy::Policy::parse(None, &source).map_err(|error| {
            let span = error.labels().and_then(|mut labels| labels.next()).and_then(|label| {
                let start = label.offset().checked_sub(BEFORE.len())?;
                Some(start..start + label.len().max(1))
            });
            let help = error.help().map_or_else(
                || {
                    "write for example `principal.department == \"Payments\" && principal.kind == \"person\"`"
                        .to_owned()
                },
                |help| help.to_string(),
            );
            PredicateError { message: error.to_string(), help, span }
        })?;
        let json = policy.to_json().map_err(|error| refused(text, &error.to_string()))?;
        let body = json["conditions"][0]["body"].clone();
        if json["conditions"].as_array().is_none_or(|conditions| conditions.len() != 1) || body.is_null() {
            return Err(refused(text, "one expression is wanted"));
        }
        Ok(Self { text: text.to_owned(), root: compile(text, &body)? })
    }

    /// The positions of the identities for which the expression is true.
    pub fn members(&self, attributes: &mut Attributes<'_>) -> RoaringBitmap {
        evaluate(&self.root, attributes).holds
    }

    /// The attributes that the expression looks at.
    pub fn attributes(&self) -> Vec<&str> {
        let mut names = Vec::new();
        collect_attributes(&self.root, &mut names);
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Predicate {
    /// The attributes that the expression compares without having asked whether they are there: where no identity has
    /// one of them, nobody can be a member, and that says more of the feed than of the people.
    pub fn relied_on(&self) -> Vec<&str> {
        let (mut names, mut asked_for) = (Vec::new(), Vec::new());
        collect_attributes(&self.root, &mut names);
        collect_asked_for(&self.root, &mut asked_for);
        names.retain(|name| !asked_for.contains(name));
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn refused(text: &str, what: &str) -> PredicateError {
    PredicateError {
        message: format!("`{text}` cannot decide membership: {what}"),
        help: "use principal's attributes with ==, !=, like, has, [\"a\", \"b\"].contains(…), &&, ||, ! and if-then-else"
            .to_owned(),
        span: None,
    }
}

fn compile(text: &str, json: &Value) -> Result<Node, PredicateError> {
    let (operator, arguments) = json
        .as_object()
        .and_then(|object| object.iter().next())
        .ok_or_else(|| refused(text, "not an expression"))?;
    let argument = |name: &str| compile(text, &arguments[name]).map(Box::new);
    Ok(match operator.as_str() {
        "Value" => match arguments {
            Value::Bool(value) => Node::Constant(*value),
            other => return Err(refused(text, &format!("{other} is neither true nor false"))),
        },
        "&&" => Node::And(argument("left")?, argument("right")?),
        "||" => Node::Or(argument("left")?, argument("right")?),
        "!" => Node::Not(argument("arg")?),
        "if-then-else" => Node::If(argument("if")?, argument("then")?, argument("else")?),
        "==" => equality(text, &arguments["left"], &arguments["right"])?,
        "!=" => Node::Not(Box::new(equality(text, &arguments["left"], &arguments["right"])?)),
        "has" => match &arguments["left"] {
            left if is_principal(left) => {
                Node::Has(arguments["attr"].as_str().unwrap_or_default().to_owned())
            }
            _ => return Err(refused(text, "`has` is asked of principal")),
        },
        "like" => {
            let attribute = attribute_of(&arguments["left"])
                .ok_or_else(|| refused(text, "`like` compares an attribute of principal with a pattern"))?;
            Node::Like(attribute, pattern(&arguments["pattern"]))
        }
        "contains" => {
            let set = set_of(&arguments["left"])
                .ok_or_else(|| refused(text, "`contains` is asked of a list of texts"))?;
            let attribute = attribute_of(&arguments["right"])
                .ok_or_else(|| refused(text, "`contains` looks for an attribute of principal"))?;
            Node::OneOf(attribute, set)
        }
        "." => match attribute_of(json) {
            // Attributes are texts; a bare one is true where it says so.
            Some(attribute) => Node::OneOf(attribute, vec!["true".to_owned()]),
            None => return Err(refused(text, "only attributes of principal are known")),
        },
        other => return Err(refused(text, &format!("`{other}` is not supported"))),
    })
}

fn is_principal(json: &Value) -> bool {
    json["Var"] == "principal"
}

fn attribute_of(json: &Value) -> Option<String> {
    let access = &json["."];
    is_principal(&access["left"]).then(|| access["attr"].as_str().map(str::to_owned)).flatten()
}

fn text_of(json: &Value) -> Option<String> {
    json["Value"].as_str().map(str::to_owned)
}

fn set_of(json: &Value) -> Option<Vec<String>> {
    json["Set"].as_array()?.iter().map(text_of).collect()
}

fn equality(text: &str, left: &Value, right: &Value) -> Result<Node, PredicateError> {
    match (attribute_of(left), attribute_of(right)) {
        (Some(left), Some(right)) => Ok(Node::SameAs(left, right)),
        (Some(attribute), None) | (None, Some(attribute)) => {
            let value = text_of(left).or_else(|| text_of(right));
            let value = value
                .ok_or_else(|| refused(text, "an attribute is compared with a text in double quotes"))?;
            Ok(Node::OneOf(attribute, vec![value]))
        }
        (None, None) => Err(refused(text, "one side of a comparison is an attribute of principal")),
    }
}

fn pattern(json: &Value) -> Vec<Pattern> {
    let mut pieces = Vec::new();
    for piece in json.as_array().into_iter().flatten() {
        match piece["Literal"].as_str() {
            Some(literal) => pieces.extend(literal.chars().map(Pattern::Literal)),
            None => pieces.push(Pattern::Any),
        }
    }
    pieces
}

/// Greedy matching with one point to come back to: linear for the patterns that people write.
fn matches(pattern: &[Pattern], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut at_pattern, mut at_text) = (0, 0);
    let mut come_back: Option<(usize, usize)> = None;
    while at_text < text.len() {
        match pattern.get(at_pattern) {
            Some(Pattern::Any) => {
                come_back = Some((at_pattern + 1, at_text));
                at_pattern += 1;
            }
            Some(Pattern::Literal(wanted)) if *wanted == text[at_text] => {
                at_pattern += 1;
                at_text += 1;
            }
            _ => match come_back {
                Some((after_any, from)) => {
                    come_back = Some((after_any, from + 1));
                    at_pattern = after_any;
                    at_text = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at_pattern..].iter().all(|piece| *piece == Pattern::Any)
}

fn evaluate(node: &Node, attributes: &mut Attributes<'_>) -> Truth {
    match node {
        Node::Constant(value) => Truth {
            holds: if *value { attributes.everybody.clone() } else { RoaringBitmap::new() },
            errs: RoaringBitmap::new(),
        },
        Node::And(left, right) => {
            let (left, right) = (evaluate(left, attributes), evaluate(right, attributes));
            Truth { errs: left.errs | (&left.holds & right.errs), holds: left.holds & right.holds }
        }
        Node::Or(left, right) => {
            let (left, right) = (evaluate(left, attributes), evaluate(right, attributes));
            let left_is_false = &attributes.everybody - &left.holds - &left.errs;
            Truth {
                errs: left.errs | (&left_is_false & right.errs),
                holds: left.holds | (left_is_false & right.holds),
            }
        }
        Node::Not(inner) => {
            let inner = evaluate(inner, attributes);
            Truth { holds: &attributes.everybody - inner.holds - &inner.errs, errs: inner.errs }
        }
        Node::If(condition, then, otherwise) => {
            let condition = evaluate(condition, attributes);
            let (then, otherwise) = (evaluate(then, attributes), evaluate(otherwise, attributes));
            let is_false = &attributes.everybody - &condition.holds - &condition.errs;
            Truth {
                errs: condition.errs | (&condition.holds & then.errs) | (&is_false & otherwise.errs),
                holds: (condition.holds & then.holds) | (is_false & otherwise.holds),
            }
        }
        Node::Has(attribute) => Truth { holds: attributes.having(attribute), errs: RoaringBitmap::new() },
        Node::OneOf(attribute, values) => {
            let known = attributes.values(attribute);
            let holds = values
                .iter()
                .filter_map(|value| known.get(value.as_str()))
                .fold(RoaringBitmap::new(), |all, some| all | some);
            Truth { holds, errs: missing(attributes, attribute) }
        }
        Node::SameAs(left, right) => {
            let errs = missing(attributes, left) | missing(attributes, right);
            let left_values = attributes.values(left).clone();
            let right_values = attributes.values(right);
            let same = left_values
                .iter()
                .filter_map(|(value, who)| right_values.get(value).map(|others| who & others));
            Truth { holds: same.fold(RoaringBitmap::new(), |all, some| all | some), errs }
        }
        Node::Like(attribute, pattern) => {
            let known = attributes.values(attribute);
            let matching = known.iter().filter(|(value, _)| matches(pattern, value)).map(|(_, who)| who);
            let holds = matching.fold(RoaringBitmap::new(), |all, some| all | some);
            Truth { holds, errs: missing(attributes, attribute) }
        }
    }
}

fn missing(attributes: &mut Attributes<'_>, attribute: &str) -> RoaringBitmap {
    let having = attributes.having(attribute);
    &attributes.everybody - having
}

fn collect_attributes<'node>(node: &'node Node, names: &mut Vec<&'node str>) {
    match node {
        Node::Constant(_) => {}
        Node::Not(inner) => collect_attributes(inner, names),
        Node::And(left, right) | Node::Or(left, right) => {
            collect_attributes(left, names);
            collect_attributes(right, names);
        }
        Node::If(condition, then, otherwise) => {
            for inner in [condition, then, otherwise] {
                collect_attributes(inner, names);
            }
        }
        Node::Has(name) | Node::OneOf(name, _) | Node::Like(name, _) => names.push(name),
        Node::SameAs(left, right) => names.extend([left.as_str(), right.as_str()]),
    }
}

fn collect_asked_for<'node>(node: &'node Node, names: &mut Vec<&'node str>) {
    match node {
        Node::Has(name) => names.push(name),
        Node::Not(inner) => collect_asked_for(inner, names),
        Node::And(left, right) | Node::Or(left, right) => {
            collect_asked_for(left, names);
            collect_asked_for(right, names);
        }
        Node::If(condition, then, otherwise) => {
            for inner in [condition, then, otherwise] {
                collect_asked_for(inner, names);
            }
        }
        Node::Constant(_) | Node::OneOf(..) | Node::Like(..) | Node::SameAs(..) => {}
    }
}
